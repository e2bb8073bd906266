//! A profile back to TOML.

use std::fmt::Write as _;

use toml::Value as Toml;
use waxwing_formats::scheme::Digest;

use crate::model::{
    Check, FieldSize, Function, Hash, NonceCounter, Number, Origin, PartKind, Profile, Source,
    UnwrapAlgorithm, Value, Verify,
};

impl Profile {
    /// The profile as TOML, which reads as the same profile. Comments of the text it came from are not kept.
    pub fn to_toml(&self) -> String {
        let mut out = String::from("profile = \"1\"\n");
        field(&mut out, "id", &self.id);
        field(&mut out, "title", &self.title);
        if !self.evidence.is_empty() {
            let evidence: Vec<String> = self.evidence.iter().map(|text| quoted(text)).collect();
            let _ = writeln!(out, "evidence = [{}]", evidence.join(", "));
        }
        for (name, text) in [("page", &self.page), ("peer", &self.peer), ("remark", &self.remark)] {
            if let Some(text) = text {
                field(&mut out, name, text);
            }
        }
        let _ = writeln!(out, "order = {}\n\n[parts]", self.order);
        for (name, part) in &self.parts {
            let mut fields = vec![format!("kind = {}", quoted(word(&PartKind::ALL, part.kind)))];
            fields.extend(part.from.as_ref().map(|from| format!("from = {}", quoted(&from.to_string()))));
            fields.extend(part.template.as_ref().map(|template| format!("template = {}", quoted(template))));
            let _ = writeln!(out, "{} = {{ {} }}", key(name), fields.join(", "));
        }
        out.push_str("\n[bytes]\n");
        for (name, bytes) in &self.bytes {
            let _ = writeln!(out, "{} = {}", key(name), source(bytes));
        }
        if !self.layouts.is_empty() {
            out.push_str("\n[layout]\n");
        }
        for (whole, layout) in &self.layouts {
            let size = |size| match size {
                FieldSize::Fixed(len) => len.to_string(),
                FieldSize::Prefixed(1) => "u8".to_owned(),
                FieldSize::Prefixed(width) => format!("u{}be", width * 8),
                FieldSize::Rest => "*".to_owned(),
            };
            let fields: Vec<String> =
                layout.fields.iter().map(|field| format!("{}:{}", size(field.size), field.name)).collect();
            let _ = writeln!(out, "{} = {}", key(whole), quoted(&fields.join(" ")));
        }
        self.emit_unwrap(&mut out);
        self.emit_content(&mut out);
        if let Some(frame) = &self.frame {
            let _ = writeln!(out, "\n[frame]\nskip = {}\nlength = \"u32be\"", frame.skip);
            if let Some(trailer) = &frame.trailer {
                let _ = writeln!(out, "trailer = {}", source(trailer));
            }
        }
        for expect in &self.expects {
            let is: Vec<String> = expect.is.iter().map(|word| quoted(word)).collect();
            let _ = writeln!(
                out,
                "\n[[expect]]\nat = {}\nis = [{}]",
                quoted(&expect.at.to_string()),
                is.join(", ")
            );
        }
        for compared in &self.verifies {
            out.push_str("\n[[verify]]\n");
            verify(&mut out, compared);
        }
        if let Some(repeat) = &self.repeat {
            let _ = writeln!(out, "\n[repeat]\nover = {}", quoted(&repeat.over.to_string()));
            if let Some(order) = &repeat.order {
                field(&mut out, "order", order);
            }
            field(&mut out, "name", &repeat.name);
            field(&mut out, "body", &repeat.body);
            for total in &repeat.totals {
                out.push_str("\n[[repeat.total]]\n");
                verify(&mut out, total);
            }
        }
        out
    }

    fn emit_unwrap(&self, out: &mut String) {
        let unwrap = &self.unwrap;
        let algorithm = value(&unwrap.algorithm, |algorithm| quoted(word(&UnwrapAlgorithm::ALL, *algorithm)));
        let _ = writeln!(out, "\n[unwrap]\nalg = {algorithm}");
        for (name, digest) in [("hash", &unwrap.hash), ("mgf1", &unwrap.mgf1)] {
            if let Some(digest) = digest {
                let _ = writeln!(out, "{name} = {}", value(digest, |digest: &Digest| quoted(digest.name())));
            }
        }
        for (name, bytes) in [("label", &unwrap.label), ("kek", &unwrap.kek), ("aad", &unwrap.aad)] {
            if let Some(bytes) = bytes {
                let _ = writeln!(out, "{name} = {}", source(bytes));
            }
        }
        if let Some(context) = &unwrap.context {
            let _ = writeln!(out, "context = {{ at = {} }}", quoted(&context.to_string()));
        }
    }

    fn emit_content(&self, out: &mut String) {
        let content = &self.content;
        let bits = |bits: &Vec<usize>| match bits.as_slice() {
            [one] => one.to_string(),
            several => format!("[{}]", several.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
        };
        let cipher = value(&content.cipher, |cipher| quoted(cipher.name()));
        let _ =
            writeln!(out, "\n[content]\ncipher = {cipher}\nkey_bits = {}", value(&content.key_bits, bits));
        if let Some(aad) = &content.aad {
            let _ = writeln!(out, "aad = {}", source(aad));
        }
        if let Some(regions) = &content.regions {
            let data_len = match &regions.data_len {
                Number::Fixed(len) => len.to_string(),
                Number::At(at) => format!("{{ at = {} }}", quoted(&at.to_string())),
            };
            let nonces: Vec<String> =
                regions.nonces.iter().map(|counter| quoted(word(&NonceCounter::ALL, *counter))).collect();
            let _ = writeln!(
                out,
                "regions = {{ data_len = {data_len}, nonce = 12, tag = 16, nonce_is = [{}] }}",
                nonces.join(", ")
            );
        }
    }
}

fn field(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{name} = {}", quoted(text));
}

fn quoted(text: &str) -> String {
    Toml::String(text.to_owned()).to_string()
}

/// A name as a key: a dot in it would make two.
fn key(name: &str) -> String {
    if name.contains('.') { quoted(name) } else { name.to_owned() }
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map(|(word, _)| *word).expect("every value has a word")
}

fn value<T>(value: &Value<T>, word: impl Fn(&T) -> String) -> String {
    let choice = match value {
        Value::Fixed(value) => return word(value),
        Value::Chosen(choice) => choice,
    };
    let mut fields = vec![format!("at = {}", quoted(&choice.at.to_string()))];
    fields.extend(choice.or.as_ref().map(|or| format!("or = {}", word(or))));
    fields.extend(choice.write.as_ref().map(|write| format!("write = {}", quoted(write))));
    let map: Vec<String> =
        choice.map.iter().map(|(theirs, ours)| format!("{} = {}", quoted(theirs), word(ours))).collect();
    format!("{{ {}, map = {{ {} }} }}", fields.join(", "), map.join(", "))
}

fn source(bytes: &Source) -> String {
    let mut fields = match &bytes.origin {
        Origin::Of(name) => vec![format!("of = {}", quoted(name))],
        Origin::Bytes(bytes) => vec![format!("hex = \"{}\"", hex::encode(bytes))],
        Origin::Index => vec!["index = true".to_owned()],
        Origin::Secret { name, encoding } => {
            vec![format!("secret = {}", quoted(name)), format!("enc = \"{encoding}\"")]
        }
        Origin::At { at, also, encoding, or } => {
            let mut fields =
                vec![format!("at = {}", quoted(&at.to_string())), format!("enc = \"{encoding}\"")];
            if !also.is_empty() {
                let also: Vec<String> = also.iter().map(|at| quoted(&at.to_string())).collect();
                fields.push(format!("also = [{}]", also.join(", ")));
            }
            fields.extend(or.as_ref().map(|or| format!("or = {}", source(or))));
            fields
        }
        Origin::Computed(function, args) => {
            let args: Vec<String> = args.iter().map(source).collect();
            let mut fields = computed(*function);
            fields.push(format!("args = [{}]", args.join(", ")));
            fields
        }
    };
    if let Some(slice) = bytes.slice {
        let end = slice.end.map_or(String::new(), |end| end.to_string());
        fields.push(format!("slice = \"{}..{end}\"", slice.start));
    }
    match bytes.lens.as_slice() {
        [] => {}
        [len] => fields.push(format!("len = {len}")),
        lens => fields
            .push(format!("len = [{}]", lens.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))),
    }
    fields.extend(bytes.write.map(|write| format!("write = {write}")));
    format!("{{ {} }}", fields.join(", "))
}

fn computed(function: Function) -> Vec<String> {
    let (name, more) = match function {
        Function::Hash(hash) => (word(&Hash::ALL, hash), vec![]),
        Function::Concat => ("concat", vec![]),
        Function::Xor => ("xor", vec![]),
        Function::Not => ("not", vec![]),
        Function::OdkIv => ("odk-iv", vec![]),
        Function::Hkdf { hash, out } => {
            ("hkdf", vec![format!("hash = \"{}\"", hash.name()), format!("out = {out}")])
        }
        Function::Pbkdf2 { hash, iterations, out } => (
            "pbkdf2",
            vec![
                format!("hash = \"{}\"", hash.name()),
                format!("iter = {iterations}"),
                format!("out = {out}"),
            ],
        ),
    };
    std::iter::once(format!("fn = \"{name}\"")).chain(more).collect()
}

fn verify(out: &mut String, compared: &Verify) {
    let (kind, key) = match &compared.check {
        Check::Bytes => ("bytes".to_owned(), None),
        Check::Size => ("size".to_owned(), None),
        Check::Hash(hash) => (word(&Hash::ALL, *hash).to_owned(), None),
        Check::Hmac { hash, key } => (format!("hmac-{}", hash.name()), Some(key)),
    };
    field(out, "kind", &kind);
    if let Some(key) = key {
        let _ = writeln!(out, "key = {}", source(key));
    }
    field(out, "over", &compared.over);
    let _ = writeln!(out, "equals = {}", source(&compared.equals));
    if let Some(len) = compared.truncate {
        let _ = writeln!(out, "truncate = {len}");
    }
}

#[cfg(test)]
mod tests {
    use crate::{Profile, presets};

    #[test]
    fn what_is_emitted_reads_as_the_same_profile() {
        for preset in presets() {
            let text = preset.profile.to_toml();
            let again =
                Profile::parse(&text).unwrap_or_else(|err| panic!("{}: {err}\n{text}", preset.profile.id));
            assert_eq!(again.explain(), preset.profile.explain());
            assert_eq!(again.to_toml(), text);
            assert_eq!(again.writing().is_ok(), preset.profile.writing().is_ok());
        }
    }
}
