//! XML as a tree of names, attributes and texts. Namespaces are not told apart: partners choose their prefixes, and some
//! leave them out.

use roxmltree::{Node, ParsingOptions};

use super::{DocumentError, Element, Selected};

/// How deep elements nest.
pub(super) const DEPTH_MAX: usize = 64;
/// The most nodes of a document.
pub(super) const NODES_MAX: u32 = 100_000;

#[derive(Debug)]
pub(super) struct Xml {
    /// In document order: the root first, each before what is in it.
    elements: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    name: String,
    attributes: Vec<(String, String)>,
    /// All of its own text, joined: a comment in between takes nothing away.
    text: String,
    children: Vec<usize>,
}

impl Xml {
    pub(super) fn parse(text: &str) -> Result<Self, DocumentError> {
        let document = parse(text)?;
        let mut elements: Vec<Held> = Vec::new();
        // Each with its depth and the place of its parent.
        let mut open: Vec<(Node<'_, '_>, usize, Option<usize>)> = vec![(document.root_element(), 1, None)];
        while let Some((node, depth, parent)) = open.pop() {
            if depth > DEPTH_MAX {
                return Err(DocumentError::TooDeep { max: DEPTH_MAX });
            }
            let at = elements.len();
            elements.push(element(node));
            if let Some(parent) = parent {
                elements[parent].children.push(at);
            }
            let inner: Vec<_> = node.children().filter(Node::is_element).collect();
            open.extend(inner.into_iter().rev().map(|child| (child, depth + 1, Some(at))));
        }
        Ok(Self { elements })
    }

    /// The elements that a path's steps lead to, from the root, from any element (`//`), or from the element `from`.
    fn find(&self, from: Option<usize>, path: &str) -> Vec<usize> {
        let (anywhere, path) = match path.strip_prefix("//") {
            Some(path) => (true, path),
            None => (false, path),
        };
        let mut steps = path.split('/');
        let first = steps.next().unwrap_or_default();
        let start: Vec<usize> = match (from, anywhere) {
            (Some(from), false) => vec![from],
            (Some(from), true) => self.within(from),
            (None, false) => vec![0],
            (None, true) => (0..self.elements.len()).collect(),
        };
        let named = |at: &usize, name: &str| self.elements[*at].name == name;
        let mut found: Vec<usize> = start.into_iter().filter(|at| named(at, first)).collect();
        for step in steps {
            let inside = found.iter().flat_map(|&at| self.elements[at].children.iter().copied());
            found = inside.filter(|at| named(at, step)).collect();
        }
        found
    }

    /// An element and all that is in it.
    fn within(&self, from: usize) -> Vec<usize> {
        let (mut all, mut open) = (Vec::new(), vec![from]);
        while let Some(at) = open.pop() {
            all.push(at);
            open.extend(&self.elements[at].children);
        }
        all.sort_unstable();
        all
    }

    /// The one place that `path` leads to.
    pub(super) fn select(
        &self,
        from: Option<usize>,
        path: &str,
    ) -> Result<Option<Selected<'_>>, DocumentError> {
        let (path, attribute) = match path.rsplit_once("/@") {
            Some((path, attribute)) => (path, Some(attribute)),
            None => (path, None),
        };
        let at = match self.find(from, path)[..] {
            [] => return Ok(None),
            [at] => at,
            ref several => {
                return Err(DocumentError::Ambiguous { path: path.to_owned(), count: several.len() });
            }
        };
        Ok(match attribute {
            None => Some(Selected::Element(Element { xml: self, at })),
            Some(wanted) => {
                let found = self.elements[at].attributes.iter().find(|(name, _)| name == wanted);
                found.map(|(_, value)| Selected::Text(value))
            }
        })
    }

    /// Every element that `path` leads to, in document order.
    pub(super) fn every(&self, path: &str) -> Vec<Selected<'_>> {
        let found = self.find(None, path).into_iter();
        found.map(|at| Selected::Element(Element { xml: self, at })).collect()
    }

    /// An element's text, or `None` when there are elements in it.
    pub(super) fn text(&self, at: usize) -> Option<&str> {
        let element = &self.elements[at];
        element.children.is_empty().then_some(&element.text)
    }
}

fn element(node: Node<'_, '_>) -> Held {
    Held {
        name: node.tag_name().name().to_owned(),
        attributes: node.attributes().map(|at| (at.name().to_owned(), at.value().to_owned())).collect(),
        text: node.children().filter(Node::is_text).filter_map(|text| text.text()).collect(),
        children: Vec::new(),
    }
}

/// A document as the parser has it, within the limits.
pub(super) fn parse(text: &str) -> Result<roxmltree::Document<'_>, DocumentError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    roxmltree::Document::parse_with_options(text, options).map_err(|err| match err {
        roxmltree::Error::DtdDetected => DocumentError::Doctype,
        roxmltree::Error::NodesLimitReached => {
            DocumentError::TooMany { what: "nodes", max: NODES_MAX as usize }
        }
        err => DocumentError::Xml { line: err.pos().row, column: err.pos().col },
    })
}

/// The change that puts `text` to `path` in `template`: which bytes go, and what comes for them. `None` when the template
/// has no such place.
pub(super) fn edit(
    template: &str,
    path: &str,
    text: &str,
) -> Result<Option<(std::ops::Range<usize>, String)>, DocumentError> {
    let document = parse(template)?;
    let (path, attribute) = match path.rsplit_once("/@") {
        Some((path, attribute)) => (path, Some(attribute)),
        None => (path, None),
    };
    let (anywhere, path) = path.strip_prefix("//").map_or((false, path), |path| (true, path));
    let mut steps = path.split('/');
    let first = steps.next().unwrap_or_default();
    let named = |node: &Node<'_, '_>, name: &str| node.is_element() && node.tag_name().name() == name;
    let root = document.root_element();
    let mut found: Vec<Node<'_, '_>> = root
        .descendants()
        .take(if anywhere { usize::MAX } else { 1 })
        .filter(|node| named(node, first))
        .collect();
    for step in steps {
        found = found.iter().flat_map(Node::children).filter(|node| named(node, step)).collect();
    }
    let [node] = found[..] else { return Ok(None) };
    let Some(attribute) = attribute else {
        let inside = node.range();
        let source = &template[inside.clone()];
        // `<a/>` has no inside to write to; a template says `<a></a>`.
        let Some(open) = source.find('>').filter(|&at| !source[..at].ends_with('/')) else { return Ok(None) };
        let close = source.rfind("</").expect("an element that was opened is closed");
        return Ok(Some((inside.start + open + 1..inside.start + close, escaped(text))));
    };
    let found = node.attributes().find(|known| known.name() == attribute);
    Ok(found.map(|attribute| (attribute.range_value(), escaped(text))))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}
