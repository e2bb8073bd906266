//! A writer of envelopes that shares no code with the library, so that it can also write what the library refuses to:
//! every field can be wrong on its own, with commitment and MAC right around it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Salt};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};

pub(crate) struct Recipient {
    pub(crate) kind: Vec<u8>,
    pub(crate) key_id: Vec<u8>,
    pub(crate) wrapped: Wrapped,
}

pub(crate) enum Wrapped {
    Kek([u8; 32]),
    /// SubjectPublicKeyInfo in DER.
    Rsa(Vec<u8>),
    /// A public key.
    XWing(Vec<u8>),
    /// An encapsulation as it is, and the KEK that it tells.
    Encapsulated(Vec<u8>, [u8; 32]),
    Raw(Vec<u8>),
}

/// An envelope field by field. `None` is what a right writer would put there.
pub(crate) struct Envelope {
    pub(crate) dek: [u8; 32],
    pub(crate) message_id: [u8; 32],
    pub(crate) magic: [u8; 7],
    pub(crate) version: u8,
    pub(crate) header_len: Option<u32>,
    pub(crate) suite: u16,
    pub(crate) log2: u8,
    pub(crate) reserved: u8,
    pub(crate) context_count: Option<u16>,
    pub(crate) context: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) recipient_count: Option<u16>,
    pub(crate) recipients: Vec<Recipient>,
    /// Between the recipients and the MAC.
    pub(crate) extra: Vec<u8>,
    pub(crate) flip_commitment: bool,
    pub(crate) flip_mac: bool,
    pub(crate) payload_len: usize,
}

impl Envelope {
    pub(crate) fn new(n: u8, recipients: Vec<Recipient>) -> Self {
        Self {
            dek: std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8)),
            message_id: std::array::from_fn(|i| n.wrapping_mul(17) ^ (i as u8).wrapping_mul(29)),
            magic: *b"WAXWING",
            version: 1,
            header_len: None,
            suite: 1,
            log2: 12,
            reserved: 0,
            context_count: None,
            context: Vec::new(),
            recipient_count: None,
            recipients,
            extra: Vec::new(),
            flip_commitment: false,
            flip_mac: false,
            payload_len: 100,
        }
    }

    fn fixed(&self) -> Vec<u8> {
        let mut out = self.suite.to_be_bytes().to_vec();
        out.extend([self.log2, self.reserved]);
        out.extend(self.message_id);
        out.extend(self.context_count.unwrap_or(self.context.len() as u16).to_be_bytes());
        for (key, value) in &self.context {
            push_u16(&mut out, key);
            push_u16(&mut out, value);
        }
        out
    }

    fn key(&self, label: &[u8]) -> [u8; 32] {
        hkdf(&self.dek, &self.message_id, &[b"waxwing/1 ", label, &[0], &sha512(&self.fixed())])
    }

    pub(crate) fn header(&self) -> Vec<u8> {
        let fixed = self.fixed();
        let mut commitment = self.key(b"commit");
        commitment[0] ^= u8::from(self.flip_commitment);
        let mut rest = fixed.clone();
        rest.extend(commitment);
        let bound = sha512(&rest);
        rest.extend(self.recipient_count.unwrap_or(self.recipients.len() as u16).to_be_bytes());
        for Recipient { kind, key_id, wrapped } in &self.recipients {
            rest.push(kind.len() as u8);
            rest.extend(kind);
            push_u16(&mut rest, key_id);
            push_u16(&mut rest, &self.wrap(kind, wrapped, &bound));
        }
        rest.extend(&self.extra);
        let mut out = self.magic.to_vec();
        out.push(self.version);
        out.extend(self.header_len.unwrap_or(rest.len() as u32 + 32).to_be_bytes());
        out.extend(rest);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key(b"header"));
        let mut mac = hmac::sign(&key, &out).as_ref().to_vec();
        mac[31] ^= u8::from(self.flip_mac);
        out.extend(mac);
        out
    }

    /// Changes a wrapped key after it was made right.
    pub(crate) fn change_wrapped(&mut self, index: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bound = self.fixed();
        bound.extend(self.key(b"commit"));
        let Recipient { kind, wrapped, .. } = &self.recipients[index];
        let mut wrapped = self.wrap(kind, wrapped, &sha512(&bound));
        change(&mut wrapped);
        self.recipients[index].wrapped = Wrapped::Raw(wrapped);
    }

    fn wrap(&self, kind: &[u8], wrapped: &Wrapped, bound: &[u8]) -> Vec<u8> {
        match wrapped {
            Wrapped::Raw(bytes) => bytes.clone(),
            Wrapped::Kek(kek) => {
                let k = hkdf(kek, &self.message_id, &[b"waxwing/1 wrap ", kind, &[0], bound]);
                seal(1, &k, [0; 12], &self.dek)
            }
            Wrapped::XWing(public) => {
                let public = waxwing_core::x_wing::PublicKey::from_bytes(public).unwrap();
                let (encapsulation, secret) = public.encapsulate().unwrap();
                self.wrap(kind, &Wrapped::Encapsulated(encapsulation.to_vec(), *secret), bound)
            }
            Wrapped::Encapsulated(encapsulation, secret) => {
                [encapsulation.clone(), self.wrap(kind, &Wrapped::Kek(*secret), bound)].concat()
            }
            Wrapped::Rsa(spki) => {
                let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(spki).unwrap()).unwrap();
                let mut out = vec![0; key.ciphertext_size()];
                key.encrypt(&OAEP_SHA256_MGF1SHA256, &self.dek, &mut out, None).unwrap().to_vec()
            }
        }
    }

    /// The frames, each apart.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        let payload = payload(0..self.payload_len as u64);
        let mut plain: Vec<&[u8]> = payload.chunks(1 << self.log2).collect();
        if plain.is_empty() {
            plain.push(&[]);
        }
        let last = plain.len() - 1;
        let key = self.key(b"frames");
        plain
            .iter()
            .enumerate()
            .map(|(i, frame)| seal(self.suite, &key, nonce(i, i == last), frame))
            .collect()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.frames().concat()
    }

    pub(crate) fn whole(&self) -> Vec<u8> {
        [self.header(), self.body()].concat()
    }
}

/// The payload that every good case has.
pub(crate) fn payload(range: std::ops::Range<u64>) -> Vec<u8> {
    waxwing_testkit::payload(range.end as usize)[range.start as usize..].to_vec()
}

fn nonce(index: usize, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = last.into();
    nonce[4..].copy_from_slice(&(index as u64).to_be_bytes());
    nonce
}

fn seal(suite: u16, key: &[u8], nonce: [u8; 12], plain: &[u8]) -> Vec<u8> {
    let algorithm = if suite == 2 { &CHACHA20_POLY1305 } else { &AES_256_GCM };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
    let mut out = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut out).unwrap();
    out
}

fn hkdf(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> [u8; 32] {
    struct Len;
    impl KeyType for Len {
        fn len(&self) -> usize {
            32
        }
    }
    let mut out = [0; 32];
    Salt::new(HKDF_SHA512, salt).extract(ikm).expand(info, Len).unwrap().fill(&mut out).unwrap();
    out
}

fn sha512(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA512, bytes).as_ref().to_vec()
}

fn push_u16(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}
