//! So many bare RSA operations on one thread: what `cargo xtask bench` measures the sealing of many small files against.
//!
//! ```text
//! openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der
//! cargo run --release -p waxwing-aws-lc --example rsa_rate -- wrap 10000 key.der
//! ```
//!
//! `wrap` encrypts 32 bytes with OAEP-SHA-256, `unwrap` decrypts them. A key is a PKCS#8 file in DER.

use std::hint::black_box;

use waxwing_aws_lc::{Digest, OaepParams, RsaPrivateKey};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [verb, count, key] = args.as_slice() else { panic!("usage: rsa_rate wrap|unwrap COUNT KEY.DER") };
    let count: u64 = count.parse().expect("COUNT is a number");
    let key = RsaPrivateKey::from_pkcs8_der(&std::fs::read(key).expect("the key can be read"))
        .expect("the key is RSA in PKCS#8");
    let (public, params) = (key.public(), OaepParams::new(Digest::Sha256));
    let wrap = || public.encrypt_oaep(&params, black_box(&[7; 32])).expect("32 bytes fit");
    let wrapped = wrap();
    match verb.as_str() {
        "wrap" => (0..count).for_each(|_| drop(black_box(wrap()))),
        "unwrap" => (0..count).for_each(|_| {
            drop(black_box(
                key.decrypt_oaep(&params, black_box(&wrapped)).expect("it was wrapped for this key"),
            ));
        }),
        _ => panic!("{verb} is neither wrap nor unwrap"),
    }
}
