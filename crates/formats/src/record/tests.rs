use super::*;

const JOB: &str = r#"{"PresignedURL":"https://x/y?sig=1","EncryptedAESKey":"AAEC","EncodedAESIV":"AAAAAAAAAAAAAAAA","FileID":"f-1","AuthTag":"AAAAAAAAAAAAAAAAAAAAAA==","Scheme":"oaep-sha256+aes-256-gcm"}"#;

fn decode(json: &str) -> Result<Record, RecordError> {
    Record::decode(json.as_bytes(), Reading::Strict).map(|(record, _)| record)
}

#[test]
fn a_job_record_reads_and_writes_byte_for_byte() {
    let record = decode(JOB).unwrap();
    assert_eq!(record.wrapped_key, [0, 1, 2]);
    assert_eq!(record.iv, [0; 12]);
    assert_eq!(record.tag, Some([0; 16]));
    assert_eq!(record.scheme, Some(Scheme::DEFAULT));
    assert_eq!(record.to_json(Spelling::Job), JOB);
}

#[test]
fn every_spelling_reads_as_the_same_record() {
    let record = decode(JOB).unwrap();
    for spelling in [Spelling::Job, Spelling::Provider, Spelling::Inline] {
        assert_eq!(decode(&record.to_json(spelling)), Ok(record.clone()), "{spelling:?}");
    }
}

#[test]
fn the_names_of_text_1_are_read() {
    for json in [
        r#"{"presignedUrl":"u","encryptedKey":"AAEC","encodedIV":"AAAAAAAAAAAAAAAA"}"#,
        r#"{"encryptedData":"AAAA","encryptedAESKey":"AAEC","iv":"AAAAAAAAAAAAAAAA"}"#,
        r#"{"ciphertext":"AAAA","nonce":"AAAAAAAAAAAAAAAA","authTag":"AAAAAAAAAAAAAAAAAAAAAA==","encryptedKey":"AAEC"}"#,
        r#"{"EncryptedAESKey":"AAEC","EncodedAESIV":"AAAAAAAAAAAAAAAA","EncodedAuthTag":"AAAAAAAAAAAAAAAAAAAAAA=="}"#,
    ] {
        decode(json).unwrap_or_else(|err| panic!("{json}: {err}"));
    }
}

#[test]
fn unknown_fields_are_kept_in_order() {
    let json = r#"{"EncryptedAESKey":"AAEC","EncodedAESIV":"AAAA","Zeta":1,"Alpha":{"b":[null]}}"#;
    assert_eq!(decode(json).unwrap().to_json(Spelling::Job), json);
}

#[test]
fn what_base64_tolerated_is_reported() {
    let json = r#"{"encryptedKey":"_-8","encodedIV":"AAAA"}"#;
    let (record, tolerated) = Record::decode(json.as_bytes(), Reading::Strict).unwrap();
    assert_eq!(record.wrapped_key, [0xff, 0xef]);
    let expected = Tolerated { url_safe: true, unpadded: true, foreign: false };
    assert_eq!(tolerated, [("encryptedKey", expected)]);
}

/// What the message says when `from` in a good record is replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(JOB.contains(from));
    decode(&JOB.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn each_defect_is_named_without_its_value() {
    for (from, to, message) in [
        (r#""f-1""#, r#""f-1"#, "the record is not a JSON object (line 1, column 111)"),
        (
            r#""EncryptedAESKey":"AAEC","#,
            "",
            "the record has no `EncryptedAESKey` (read as well: encryptedKey, encryptedAESKey)",
        ),
        (r#""FileID":"f-1""#, r#""FileID":"""#, "the record's `FileID` is empty"),
        (r#""FileID":"f-1""#, r#""FileID":7"#, "the record's `FileID` is not a text"),
        (r#""FileID":"f-1""#, r#""FileID":"a","FileID":"b""#, "the record has the field `FileID` twice"),
        (
            r#""FileID":"f-1""#,
            r#""fileId":"a","FileID":"b""#,
            "the record has both `FileID` and `fileId`, which mean the same; remove one",
        ),
        (r#""AAEC""#, r#""AA EC""#, "the record's `EncryptedAESKey` is not base64"),
        (r#""AAAAAAAAAAAAAAAAAAAAAA==""#, r#""AAAA""#, "the record's `AuthTag` is 3 bytes; 16 are allowed"),
        ("+aes-256-gcm", "+rot13", "the record's `Scheme` names no known scheme"),
        (r#""FileID":"f-1""#, r#""KeyId":"ABCD""#, "the record's `KeyId` is not 64 lower-case hex digits"),
    ] {
        assert_eq!(refused(from, to), message);
    }
}

#[test]
fn attack_10_a_tag_of_another_length_is_refused() {
    for len in (0..=17).filter(|&len| len != TAG_LEN) {
        let tag = base64::encode(&vec![0; len]);
        let message = refused("AAAAAAAAAAAAAAAAAAAAAA==", &tag);
        let expected = if len == 0 { "is empty".into() } else { format!("is {len} bytes; 16 are allowed") };
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn attack_13_a_record_is_bounded_and_shallow() {
    let err = Record::decode(&vec![b' '; RECORD_LEN_MAX + 1], Reading::Strict).unwrap_err();
    assert_eq!(err, RecordError::TooLong { len: RECORD_LEN_MAX + 1 });
    let deep = format!(r#"{{"x":{}"#, "[".repeat(100_000));
    assert!(matches!(decode(&deep), Err(RecordError::Json { .. })));
}

#[test]
fn attack_15_debug_shows_neither_url_nor_key() {
    let shown = format!("{:?}", decode(JOB).unwrap());
    assert!(!shown.contains("sig=1") && !shown.contains("wrapped_key"), "{shown}");
}
