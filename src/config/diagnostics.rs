//! Faults as a person reads them: the file, line and column, the line itself with a caret, and what to do; for variables
//! and flags their name and value. It decides nothing.

use std::{collections::BTreeSet, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{
    check::Fault,
    layer::{Layer, Source},
    problem::KeyPath,
};
use crate::error::{Error, Kind, Located};

/// A fault and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The number of the layer; none: it is nowhere in particular.
    pub layer: Option<usize>,
    /// Where in the layer's text.
    pub span: Range<usize>,
    /// Under which key; the root: under none in particular.
    pub path: KeyPath,
    /// What.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Finding {
    /// A fault of one layer.
    pub fn of(layer: usize, fault: Fault) -> Self {
        Self { layer: Some(layer), span: fault.span, path: fault.path, message: fault.message, help: fault.help }
    }
}

/// In the order of the layers and of their text, none twice.
fn in_order(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.layer.unwrap_or(usize::MAX), finding.span.start);
        key(a).cmp(&key(b))
    });
    // What a layer has wrong is found again in what the layers add up to.
    let mut seen = BTreeSet::new();
    findings
        .retain(|Finding { layer, span, message, .. }| seen.insert((*layer, span.start, span.end, message.clone())));
}

/// A finding's place in words and numbers.
fn locate(layers: &[Layer], finding: &Finding) -> Located {
    let layer = finding.layer.and_then(|index| layers.get(index));
    let start = finding.span.start;
    let file = layer.and_then(|layer| match &layer.source {
        Source::File { shown, .. } => Some((shown.clone(), layer.position(start))),
        _ => None,
    });
    Located {
        line: file.as_ref().map(|(_, (line, _))| *line),
        column: file.as_ref().map(|(_, (_, column))| *column),
        file: file.map(|(file, _)| file),
        origin: layer.map(|layer| layer.place(start)),
        key: (!finding.path.0.is_empty()).then(|| finding.path.to_string()),
        message: finding.message.clone(),
        help: finding.help.clone(),
    }
}

/// All findings as one error, in their order, with a closing count: of the command line (exit 64) where nothing but flags
/// is wrong, else of the configuration (exit 78). The text is complete: each finding begins with `error:`, each warning
/// with `warning:`.
pub fn report(layers: &[Layer], mut findings: Vec<Finding>, warnings: Vec<String>, colour: bool) -> Error {
    in_order(&mut findings);
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut texts: Vec<String> = findings.iter().map(|finding| render(&renderer, layers, finding)).collect();
    texts.extend(warnings.iter().map(|warning| {
        let title = Level::WARNING.primary_title(warning.as_str());
        renderer.render(&[title.elements(None::<annotate_snippets::Message<'_>>)])
    }));
    let typed = findings.iter().all(|finding| {
        let layer = finding.layer.and_then(|index| layers.get(index));
        layer.is_some_and(|layer| matches!(layer.source, Source::Set | Source::Flag { .. }))
    });
    let (kind, place) =
        if typed { (Kind::Usage, "on the command line") } else { (Kind::Config, "in the configuration") };
    texts.push(match findings.len() {
        1 => format!("1 error {place}"),
        count => format!("{count} errors {place}"),
    });
    let faults = findings.iter().map(|finding| locate(layers, finding)).collect();
    Error { faults, warnings, ..Error::new(kind, texts.join("\n\n")) }
}

fn render(renderer: &Renderer, layers: &[Layer], finding: &Finding) -> String {
    let layer = finding.layer.and_then(|index| layers.get(index));
    let mut group =
        Level::ERROR.primary_title(finding.message.as_str()).elements(None::<annotate_snippets::Message<'_>>);
    if let Some(layer) = layer {
        // A variable and a flag are named in their own line; only a file has lines to count.
        let shown = match &layer.source {
            Source::File { shown, .. } => Some(shown.as_str()),
            _ => None,
        };
        let snippet = Snippet::source(layer.text.as_ref())
            .path(shown)
            .line_numbering(shown.is_some())
            .annotation(AnnotationKind::Primary.span(first_line(&layer.text, &finding.span)));
        group = group.element(snippet);
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// What is marked of a value over several lines: its beginning.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let part = text.get(span.clone()).unwrap_or_default();
    let end = part.find(['\n', '\r']).unwrap_or(part.len());
    span.start.min(text.len())..(span.start + end).min(text.len())
}
