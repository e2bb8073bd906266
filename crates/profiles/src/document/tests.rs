use proptest::prelude::*;

use super::*;

fn json(text: &str) -> Result<Document, DocumentError> {
    Document::parse(DocumentKind::Json, text.as_bytes())
}

fn xml(text: &str) -> Result<Document, DocumentError> {
    Document::parse(DocumentKind::Xml, text.as_bytes())
}

fn text(document: &Document, path: &str) -> Result<Option<String>, DocumentError> {
    let not_text = || DocumentError::NotText { path: path.to_owned() };
    document.select(path)?.map(|found| found.text().map(Cow::into_owned).ok_or_else(not_text)).transpose()
}

fn some(text: &str) -> Result<Option<String>, DocumentError> {
    Ok(Some(text.to_owned()))
}

#[test]
fn places_in_json() {
    let document = json(r#"{"a":{"b":["x",{"c":7}]},"n":null,"f":1.5}"#).unwrap();
    assert_eq!(text(&document, "a.b.0"), some("x"));
    assert_eq!(text(&document, "a.b.1.c"), some("7"));
    for absent in ["a.x", "a.b.2", "a.b.0.c", "n", "a.b.x"] {
        assert_eq!(text(&document, absent), Ok(None), "{absent}");
    }
    for wrong in ["a", "a.b", "f"] {
        assert_eq!(text(&document, wrong), Err(DocumentError::NotText { path: wrong.to_owned() }), "{wrong}");
    }
    let items = document.items("a.b").unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[1].select("c").unwrap().unwrap().text().unwrap(), "7");
    assert!(document.items("a").is_err());
}

#[test]
fn attack_13_a_json_name_stands_once_at_any_depth() {
    for twice in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"a":2}}]"#, "{\"a\":1,\"\\u0061\":2}"] {
        assert_eq!(json(twice).unwrap_err(), DocumentError::Duplicate { name: "a".to_owned() }, "{twice}");
    }
    assert!(matches!(json("{} {}"), Err(DocumentError::Json { line: 1, column: 4 })));
}

#[test]
fn attack_13_nesting_ends_somewhere() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(&deep(json::DEPTH_MAX)).is_ok());
    for depth in [json::DEPTH_MAX + 1, 1_000_000] {
        assert_eq!(json(&deep(depth)).unwrap_err(), DocumentError::TooDeep { max: json::DEPTH_MAX });
    }
    // On a stack as small as threads have anywhere.
    let tried = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(xml(&deep(xml::DEPTH_MAX)).is_ok());
        for depth in [xml::DEPTH_MAX + 1, 90_000, 1_000_000] {
            assert!(xml(&deep(depth)).is_err(), "{depth}");
        }
    });
    tried.unwrap().join().unwrap();
    let wide = format!("<a>{}</a>", "<b/>".repeat(xml::NODES_MAX as usize));
    assert!(matches!(xml(&wide), Err(DocumentError::TooMany { what: "nodes", .. })));
}

#[test]
fn places_in_xml() {
    let document = xml(
        "<?xml version=\"1.0\"?>\n<p:r xmlns:p='u'><p:a x='1'>t&amp;<!-- c -->u</p:a><a2><b>v</b></a2></p:r>",
    )
    .unwrap();
    assert_eq!(text(&document, "r/a"), some("t&u"));
    assert_eq!(text(&document, "r/a/@x"), some("1"));
    assert_eq!(text(&document, "//b"), some("v"));
    for absent in ["a", "r/b", "r/a/@y", "other/a", "//c"] {
        assert_eq!(text(&document, absent), Ok(None), "{absent}");
    }
    assert_eq!(text(&document, "r"), Err(DocumentError::NotText { path: "r".to_owned() }));
}

/// Whoever wraps a second element around or beside the one that was meant must not choose which is read.
#[test]
fn attack_13_two_elements_where_one_is_wanted_are_refused() {
    let document =
        xml("<r><k><v>1</v></k><x><k><v>2</v></k></x><i n='1'><v>a</v></i><i n='2'><v>b</v></i></r>")
            .unwrap();
    assert_eq!(
        text(&document, "//k/v"),
        Err(DocumentError::Ambiguous { path: "//k/v".to_owned(), count: 2 })
    );
    assert_eq!(
        text(&document, "//i/@n").unwrap_err(),
        DocumentError::Ambiguous { path: "//i".to_owned(), count: 2 }
    );
    assert_eq!(text(&document, "r/k/v"), some("1"));
    let items = document.items("r/i").unwrap();
    let inside =
        |at: usize, path: &str| items[at].select(path).unwrap().unwrap().text().unwrap().into_owned();
    assert_eq!((inside(0, "i/v"), inside(1, "i/@n")), ("a".to_owned(), "2".to_owned()));
}

#[test]
fn attack_13_xml_defines_nothing() {
    for doctype in [
        "<!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>",
        "<!DOCTYPE r SYSTEM 'file:///etc/passwd'><r/>",
        "<!DOCTYPE r><r/>",
    ] {
        assert_eq!(xml(doctype).unwrap_err(), DocumentError::Doctype, "{doctype}");
    }
    assert!(matches!(xml("<r>&a;</r>"), Err(DocumentError::Xml { .. })));
    assert!(matches!(xml("<r><a></r>"), Err(DocumentError::Xml { line: 1, .. })));
}

#[test]
fn headers_are_names_without_case() {
    let json = br#"{"X-IV":"00","x-key":"11"}"#;
    let lines = b"X-IV: 00\r\nx-key:11\r\n\r\n";
    for bytes in [&json[..], lines] {
        let headers = Document::parse(DocumentKind::Headers, bytes).unwrap();
        assert_eq!(text(&headers, "x-iv"), some("00"));
        assert_eq!(text(&headers, "X-Key"), some("11"));
        assert_eq!(text(&headers, "x"), Ok(None));
    }
    for twice in [&br#"{"a":"1","A":"2"}"#[..], b"a: 1\nA: 2"] {
        let err = Document::parse(DocumentKind::Headers, twice).unwrap_err();
        assert_eq!(err, DocumentError::Duplicate { name: "A".to_owned() });
    }
    assert_eq!(
        Document::parse(DocumentKind::Headers, b"a: 1\nb").unwrap_err(),
        DocumentError::Header { line: 2 }
    );
    assert_eq!(
        Document::parse(DocumentKind::Headers, br#"{"a":1}"#).unwrap_err(),
        DocumentError::NotText { path: "a".to_owned() }
    );
}

#[test]
fn a_jwe_has_five_segments_and_a_header() {
    let header = Encoding::Base64Url.encode(br#"{"alg":"RSA-OAEP","n":{"x":1}}"#).unwrap();
    let token = Document::parse(DocumentKind::Jwe, format!("{header}.a.b.c.d\n").as_bytes()).unwrap();
    assert_eq!(text(&token, "header.alg"), some("RSA-OAEP"));
    assert_eq!(text(&token, "header.n.x"), some("1"));
    assert_eq!(text(&token, "aad"), some(&header));
    assert_eq!(text(&token, "tag"), some("d"));
    let parse = |text: &str| Document::parse(DocumentKind::Jwe, text.as_bytes()).unwrap_err();
    assert_eq!(parse("a.b.c"), DocumentError::Jwe { count: 3 });
    assert_eq!(parse("a.b.c.d.e.f"), DocumentError::Jwe { count: 6 });
    assert_eq!(parse("!.b.c.d.e"), DocumentError::JweHeader);
    assert_eq!(parse("W10.b.c.d.e"), DocumentError::JweHeader, "a list is no header");
}

#[test]
fn what_is_no_text_is_refused_at_its_byte() {
    assert_eq!(Document::parse(DocumentKind::Text, b"ab\xff").unwrap_err(), DocumentError::NotUtf8 { at: 2 });
    assert_eq!(text(&json("\u{feff}{\"a\":\"b\"}").unwrap(), "a"), some("b"));
}

#[test]
fn a_template_keeps_what_is_around() {
    let template = "<r xmlns='u'><!-- k --><a x=''></a><b/></r>";
    let mut writer = DocumentWriter::new(DocumentKind::Xml, Some(template)).unwrap();
    writer.set("r/a", "1 < 2", false).unwrap();
    writer.set("r/a/@x", "\"", false).unwrap();
    for nowhere in ["r/c", "r/b", "r/a/@y", "c"] {
        let refused = DocumentError::NotWritable { path: nowhere.to_owned() };
        assert_eq!(writer.set(nowhere, "", false), Err(refused));
    }
    assert_eq!(writer.finish(), "<r xmlns='u'><!-- k --><a x='&quot;'>1 &lt; 2</a><b/></r>");
    let mut writer = DocumentWriter::new(DocumentKind::Json, Some(r#"{"v":[{"k":"kept"}]}"#)).unwrap();
    writer.set("v.0.a.b", "x", false).unwrap();
    writer.set("n", "12", true).unwrap();
    assert!(writer.set("v", "x", false).is_err() && writer.set("v.5", "x", false).is_err());
    assert_eq!(writer.finish(), r#"{"v":[{"k":"kept","a":{"b":"x"}}],"n":12}"#);
    assert!(DocumentWriter::new(DocumentKind::Xml, None).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_found(value in "[ -~äß€]{1,40}") {
        let places = [
            (DocumentKind::Json, None, "a.b.0.c"),
            (DocumentKind::Headers, None, "x-a"),
            (DocumentKind::Xml, Some("<r><a y='2'>old</a></r>"), "r/a"),
            (DocumentKind::Xml, Some("<r><a y='2'>old</a></r>"), "//a/@y"),
            (DocumentKind::Jwe, None, "header.kid"),
        ];
        for (kind, template, path) in places {
            let mut writer = DocumentWriter::new(kind, template).unwrap();
            writer.set(path, &value, false).unwrap();
            let document = Document::parse(kind, writer.finish().as_bytes()).unwrap();
            prop_assert_eq!(text(&document, path), some(&value));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, path in "[a-z0-9./@]{0,12}") {
        for kind in [DocumentKind::Json, DocumentKind::Xml, DocumentKind::Headers, DocumentKind::Text, DocumentKind::Jwe] {
            if let Ok(document) = Document::parse(kind, &bytes) {
                let _ = document.select(&path).map(|found| found.map(Selected::text));
                let _ = document.items(&path);
            }
        }
    }
}
