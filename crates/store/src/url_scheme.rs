/// The scheme of a text that is a URL rather than a path: what stands before its `://`.
///
/// A path that looks so is still reached with `./` in front.
pub fn url_scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let mut bytes = scheme.bytes();
    let begins = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    (begins && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))).then_some(scheme)
}
