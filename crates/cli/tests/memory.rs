//! What the memory of a running process holds, read as root reads it: no key that is no longer needed.

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Stdio};
use std::sync::Arc;

use support::Place;
use waxwing_engine::{Input, read_attached_header};
use waxwing_keyring::{Key, KeyProvider, Keyring};

/// The writable memory of a process.
fn image(child: &Child) -> Option<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).ok()?;
    let memory = File::open(format!("/proc/{}/mem", child.id())).ok()?;
    let mut image = Vec::new();
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|flags| flags.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).expect("the kernel writes hex"));
        let mut piece = vec![0; (to - from) as usize];
        // Some pages are the kernel's own.
        if memory.read_exact_at(&mut piece, from).is_ok() {
            image.extend(piece);
        }
    }
    Some(image)
}

fn count(image: &[u8], needle: &[u8]) -> usize {
    image.windows(needle.len()).filter(|window| *window == needle).count()
}

/// A process in the middle of opening `in.wax` with the key `k`, and the DEK of that file.
fn opening(place: &Place, key: &str) -> (Child, Vec<u8>) {
    let sealed = place.read("in.wax");
    let (locked, _) = read_attached_header(&mut Input::open(&place.path("in.wax")).unwrap()).unwrap();
    let opener: Arc<dyn KeyProvider> = Key::read(&place.read(key), None).unwrap().into_opener().unwrap();
    let rewrap = pollster::block_on(Keyring::new([opener]).unlock_to_rewrap(&locked)).unwrap();
    let mut child = place
        .command(&["open", "-k", key, "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(&sealed[..sealed.len() / 2]).unwrap();
    // Plaintext comes out: the keys were used.
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 65536]).unwrap();
    (child, rewrap.dek().expose().to_vec())
}

fn sealed(recipient: &str) -> Place {
    let place = Place::new();
    place.write("in", vec![7; 4 << 20]);
    place.run(&["keygen", "--type", "aes-256", "-o", "kek"]).ok();
    place.run(&["seal", "-r", recipient, "-o", "in.wax", "in"]).ok();
    place
}

#[test]
fn attack_16_the_memory_of_a_process_holds_neither_dek_nor_pem() {
    let place = sealed("k.pub");
    let (mut child, dek) = opening(&place, "k");
    let Some(image) = image(&child) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: only root reads the memory of another process");
        child.kill().unwrap();
        return;
    };
    child.kill().unwrap();
    child.wait().unwrap();
    // The control: what is being opened is there, and is found.
    assert!(count(&image, &[7; 4096]) > 0, "the plaintext is in the buffers");
    assert_eq!(count(&image, &dek), 0, "the DEK");
    let pem = String::from_utf8(place.read("k")).unwrap();
    for line in pem.lines().filter(|line| !line.starts_with('-') && line.len() > 32) {
        assert_eq!(count(&image, line.as_bytes()), 0, "a line of the PEM");
    }
}

#[test]
fn attack_16_an_aes_key_is_there_once_and_its_file_is_not() {
    let place = sealed("kek");
    let (mut child, dek) = opening(&place, "kek");
    let Some(image) = image(&child) else {
        child.kill().unwrap();
        return;
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(count(&image, &dek), 0, "the DEK");
    let text = String::from_utf8(place.read("kek")).unwrap();
    let base64 = text.trim().rsplit(' ').next().unwrap();
    assert_eq!(count(&image, base64.as_bytes()), 0, "the key in its file's spelling");
}

/// Started by somebody who may allow core dumps, it allows none, for good.
#[test]
fn attack_16_a_process_leaves_no_core() {
    let place = sealed("k.pub");
    let (mut child, _) = opening(&place, "k");
    let limits = |of: &str| {
        let limits = fs::read_to_string(format!("/proc/{of}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        line.split_whitespace().skip(4).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let (own, childs) = (limits("self"), limits(&child.id().to_string()));
    child.kill().unwrap();
    child.wait().unwrap();
    if own[1] == "0" {
        let _ = writeln!(std::io::stderr(), "SKIPPED: nobody may dump core here, so this shows nothing");
        return;
    }
    assert_eq!(childs, ["0", "0"]);
}

/// Where all memory may be locked, all of it is: none of it reaches the swap.
#[test]
fn attack_16_memory_is_locked_where_that_is_allowed() {
    let place = sealed("k.pub");
    let (mut child, _) = opening(&place, "k");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let locked: u64 = field("VmLck:").parse().unwrap();
    let may = u64::from_str_radix(&field("CapEff:"), 16).unwrap() & (1 << 14) != 0;
    assert_eq!(locked > 0, may, "CAP_IPC_LOCK: {may}; locked: {locked} kB");
}
