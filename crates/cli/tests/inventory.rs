//! `waxwing inventory`: what it counts, and the plot over several runs.

mod support;

use serde_json::Value;
use support::Place;

/// Two messages of JPK's and Matrix' in folders of their own, two records by their names, an envelope and a picture.
fn place() -> Place {
    let place = Place::new();
    for (name, path) in [
        ("tax/1/init.xml", "jpk/initupload-1-part/initupload.xml"),
        ("tax/1/JPK-VAT.xml.zip.001.aes", "jpk/initupload-1-part/JPK-VAT.xml.zip.001.aes"),
        ("chat/info.json", "matrix-attachment/npm-5/info.json"),
        ("chat/body", "matrix-attachment/npm-5/body.bin"),
        ("acme/a.json", "record/oaep-sha1-aes-256-gcm/record.json"),
        ("acme/a.bin", "record/oaep-sha1-aes-256-gcm/body.bin"),
        ("acme/b.json", "s3ec/ruby-v2-rsa-500/metadata.json"),
        ("acme/b.bin", "s3ec/ruby-v2-rsa-500/body.bin"),
    ] {
        let path = format!("{}/../profiles/vectors/{path}", env!("CARGO_MANIFEST_DIR"));
        let to = place.path("in").join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
    place.run(&["seal", "-r", "k.pub", "-o", "in/e.wax", "k.pub"]).ok();
    place.write("in/picture.png", b"\x89PNG\r\n\x1a\n");
    std::os::unix::fs::symlink(place.path("k"), place.path("in/link")).unwrap();
    place
}

fn group<'a>(json: &'a Value, scheme: &str) -> &'a Value {
    let groups = json["groups"].as_array().unwrap();
    groups
        .iter()
        .find(|group| group["scheme"].as_str().unwrap().contains(scheme))
        .unwrap_or_else(|| panic!("{json:#}"))
}

#[test]
fn files_are_counted_by_scheme_and_sender() {
    let place = place();
    let json: Value = serde_json::from_str(&place.run(&["inventory", "--json", "in"]).ok().stdout()).unwrap();
    assert_eq!(json["files"], 10, "{json:#}");
    let jpk = group(&json, "jpk");
    assert_eq!(
        (jpk["legacy"].as_str(), jpk["files"].as_u64(), jpk["messages"].as_u64()),
        (Some("yes"), Some(2), Some(1))
    );
    assert_eq!(jpk["sender"], "tax/");
    assert_eq!(jpk["reasons"][0], "PKCS#1 v1.5 key wrapping");
    assert_eq!(group(&json, "matrix")["legacy"], "yes");
    assert_eq!(group(&json, "record-oaep-sha1-gcm")["legacy"], "perhaps");
    assert_eq!(group(&json, "s3ec-v2-rsa")["legacy"], "no");
    assert_eq!(group(&json, "Waxwing envelope")["files"], 1);
    assert_eq!(json["legacy_files"], 4);
    let text = place.run(&["inventory", "in"]).ok().stdout();
    assert!(text.contains("jpk, from tax/: 1 message in 2 files, "), "{text}");
    assert!(text.contains("; legacy of these: 4 files, "), "{text}");
}

#[test]
fn the_plot_has_a_point_for_every_run() {
    let place = place();
    for runs in 1..=3 {
        place.run(&["inventory", "in", "--history", "h.jsonl", "--plot", "p.svg"]).ok();
        let svg = String::from_utf8(place.read("p.svg")).unwrap();
        let parsed = roxmltree::Document::parse(&svg).unwrap();
        let count = |name| parsed.descendants().filter(|node| node.has_tag_name(name)).count();
        assert_eq!((count("polyline"), count("circle")), (2, 2 * runs));
        let text: Vec<_> = parsed.descendants().filter_map(|node| node.text()).collect();
        assert!(text.contains(&"jpk") && text.contains(&"matrix-attachment") && text.contains(&"files"));
    }
    std::fs::remove_dir_all(place.path("in/tax")).unwrap();
    place.run(&["inventory", "in", "--history", "h.jsonl", "--plot", "p.svg"]).ok();
    assert!(String::from_utf8(place.read("p.svg")).unwrap().matches("<circle").count() == 8);
}

#[test]
fn the_folder_is_not_written_to_and_buckets_are_refused() {
    let place = place();
    place.run(&["inventory", "in", "--history", "in/h.jsonl"]).fails(
        2,
        "error: `in/h.jsonl` would lie in the folder that is looked at\n  hint: write it elsewhere\n",
    );
    place.run(&["inventory", "s3://bucket/inbox"]).fails(
        2,
        "error: `s3://bucket/inbox` is no folder\n  hint: buckets are not read yet: sync it to a folder first, then take that\n",
    );
}
