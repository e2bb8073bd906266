//! A profile in words, for those who compare it with a partner's page.

use std::fmt::Write as _;

use waxwing_formats::scheme::Digest;

use crate::model::{
    Check, FieldSize, Function, Number, Origin, PartKind, Profile, Source, UnwrapAlgorithm, Value,
};

impl Profile {
    /// What opening does, step by step, one line each.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            let _ = writeln!(text, "{words}");
        };
        for (name, part) in &self.parts {
            let kind =
                PartKind::ALL.iter().find(|(_, kind)| *kind == part.kind).map_or("", |(word, _)| *word);
            match &part.from {
                Some(from) => line(format!("part {name}: {kind}, the text at {from}")),
                None => line(format!("part {name}: {kind}, a file")),
            }
        }
        for expect in &self.expects {
            line(format!("expect {} to be {}", expect.at, expect.is.join(" or ")));
        }
        for (name, source) in &self.bytes {
            line(format!("{name} = {}", source_words(source)));
        }
        for (whole, layout) in &self.layouts {
            let field = |field: &crate::model::Field| match field.size {
                FieldSize::Fixed(len) => format!("{} ({len} bytes)", field.name),
                FieldSize::Prefixed(width) => {
                    format!("{} (its length before it, in {width} bytes)", field.name)
                }
                FieldSize::Rest => format!("{} (the rest)", field.name),
            };
            line(format!(
                "{whole} is cut into {}",
                layout.fields.iter().map(field).collect::<Vec<_>>().join(", ")
            ));
        }
        line(self.unwrap_words());
        line(self.content_words());
        if let Some(frame) = &self.frame {
            let trailer = frame.trailer.as_ref().map_or("nothing".to_owned(), source_words);
            line(format!(
                "inside the plaintext: {} bytes without meaning, the length in 4 bytes, the content, then {trailer}",
                frame.skip
            ));
        }
        for verify in &self.verifies {
            line(format!(
                "compare the {} of {} with {}",
                check_words(&verify.check),
                verify.over,
                source_words(&verify.equals)
            ));
        }
        if let Some(repeat) = &self.repeat {
            line(format!(
                "one body for each entry of {}, in the file that its {} names, joined in order",
                repeat.over, repeat.name
            ));
            for total in &repeat.totals {
                line(format!(
                    "compare the {} of everything joined with {}",
                    check_words(&total.check),
                    source_words(&total.equals)
                ));
            }
        }
        text
    }

    fn unwrap_words(&self) -> String {
        let unwrap = &self.unwrap;
        let algorithm = value_words(&unwrap.algorithm, |algorithm| {
            UnwrapAlgorithm::ALL
                .iter()
                .find(|(_, known)| known == algorithm)
                .map_or("", |(word, _)| *word)
                .to_owned()
        });
        let digest = |digest: &Digest| digest.name().to_owned();
        let mut words = format!("unwrap with {algorithm}");
        if let Some(hash) = &unwrap.hash {
            let mgf1 = unwrap.mgf1.as_ref().unwrap_or(hash);
            let _ = write!(
                words,
                "; OAEP digest {}, MGF1 digest {}",
                value_words(hash, digest),
                value_words(mgf1, digest)
            );
        }
        for (name, source) in [("label", &unwrap.label), ("KEK", &unwrap.kek), ("AAD", &unwrap.aad)] {
            if let Some(source) = source {
                let _ = write!(words, "; {name} {}", source_words(source));
            }
        }
        if let Some(context) = &unwrap.context {
            let _ = write!(words, "; encryption context at {context}");
        }
        words
    }

    fn content_words(&self) -> String {
        let content = &self.content;
        let bits = |bits: &Vec<usize>| bits.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
        let mut words = format!(
            "decrypt with {}, a key of {} bits",
            value_words(&content.cipher, |cipher| cipher.name().to_owned()),
            value_words(&content.key_bits, bits)
        );
        if let Some(aad) = &content.aad {
            let _ = write!(words, ", AAD {}", source_words(aad));
        }
        if let Some(regions) = &content.regions {
            let len = match &regions.data_len {
                Number::Fixed(len) => len.to_string(),
                Number::At(at) => format!("the number at {at}"),
            };
            let _ = write!(words, ", in regions of {len} bytes, each with its nonce and tag");
        }
        words
    }
}

fn value_words<T>(value: &Value<T>, word: impl Fn(&T) -> String) -> String {
    match value {
        Value::Fixed(value) => word(value),
        Value::Chosen(choice) => {
            let mut words: Vec<String> =
                choice.map.iter().map(|(theirs, ours)| format!("{theirs} = {}", word(ours))).collect();
            words.extend(choice.or.as_ref().map(|ours| format!("absent = {}", word(ours))));
            format!("what {} says ({})", choice.at, words.join(", "))
        }
    }
}

fn check_words(check: &Check) -> String {
    match check {
        Check::Bytes => "value".to_owned(),
        Check::Size => "length".to_owned(),
        Check::Hash(hash) => hash.name().to_owned(),
        Check::Hmac { hash, key } => format!("HMAC-{} under {}", hash.name(), source_words(key)),
    }
}

fn source_words(source: &Source) -> String {
    let mut words = match &source.origin {
        Origin::At { at, also, encoding, or } => {
            let places: Vec<String> = std::iter::once(at).chain(also).map(ToString::to_string).collect();
            let absent =
                or.as_ref().map_or(String::new(), |or| format!(", or {} if it is absent", source_words(or)));
            format!("{} as {encoding}{absent}", places.join(" or "))
        }
        Origin::Of(name) => name.clone(),
        Origin::Bytes(bytes) if bytes.is_empty() => "nothing".to_owned(),
        Origin::Bytes(bytes) => format!("the bytes {}", hex::encode(bytes)),
        Origin::Secret { name, encoding } => format!("the secret {name} as {encoding}"),
        Origin::Index => "the position in the list".to_owned(),
        Origin::Computed(function, args) => {
            let args: Vec<String> = args.iter().map(source_words).collect();
            let name = match function {
                Function::Hash(hash) => hash.name().to_owned(),
                Function::Concat => "concat".to_owned(),
                Function::Xor => "xor".to_owned(),
                Function::Not => "not".to_owned(),
                Function::Pbkdf2 { hash, iterations, out } => {
                    format!("PBKDF2-{} ({iterations} rounds, {out} bytes)", hash.name())
                }
                Function::Hkdf { hash, out } => format!("HKDF-{} ({out} bytes)", hash.name()),
                Function::OdkIv => "odk-iv".to_owned(),
            };
            format!("{name}({})", args.join(", "))
        }
    };
    if let Some(slice) = source.slice {
        let end = slice.end.map_or(String::new(), |end| end.to_string());
        let _ = write!(words, " [{}..{end}]", slice.start);
    }
    if !source.lens.is_empty() {
        let lens: Vec<String> = source.lens.iter().map(usize::to_string).collect();
        let _ = write!(words, ", {} bytes", lens.join(" or "));
    }
    words
}
