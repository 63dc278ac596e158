//! Extensions: named units beside a stdio session. One may look at the answers to chosen methods and change them, answer
//! chosen requests in the server's place (its own resources and tools), and keep files in a folder of its own. The
//! configuration switches each of them on and off (`mcp.extensions.NAME`).
//!
//! | part | what it is for | pure |
//! |---|---|---|
//! | [`results`] | answers that are too large for a client: kept, and handed out in pages | deciding, yes; its files, no |
//! | [`folder`] | files of one extension and one session, for their owner alone | no |
//! | [`object`] | JSON objects whose values stay as they stand | yes |
//! | [`reply`] | answers that an extension writes itself | yes |
//!
//! What no extension asked for costs nothing: the session compares a request's method with
//! [`ExtensionSet::results`] and [`ExtensionSet::claims`], which are empty when all extensions are off. An extension must not
//! know servers, containers or the session's state; it sees frames.

pub mod folder;
pub mod object;
pub mod reply;
pub mod results;

use std::{fmt, path::Path};

use uuid::Uuid;

use crate::{
    model::target::McpSettings,
    proxy::{Frame, json, make, session::Claim},
};

/// One extension. What it does must end soon: the session waits for it.
pub trait Extension: Send + fmt::Debug {
    /// Its name: in the configuration, in its warnings, and of its folder.
    fn name(&self) -> &'static str;

    /// The methods whose answers it looks at.
    fn results(&self) -> &'static [&'static str];

    /// The requests that it answers.
    fn claims(&self) -> &'static [Claim];

    /// An answer to one of [`Self::results`], on its way to the client: what the client gets in its place. Where the
    /// extension can't do its work, that is the answer as it came.
    fn result(&mut self, method: &str, frame: Frame) -> Frame;

    /// The answer to a request that fits `claim`, one of [`Self::claims`].
    fn serve(&mut self, claim: &Claim, frame: &Frame) -> Frame;

    /// The session is over: what was kept for it goes.
    fn end(&mut self);
}

/// The extensions of one session that are switched on, in the order in which they see an answer.
#[derive(Debug, Default)]
pub struct ExtensionSet {
    extensions: Vec<Box<dyn Extension>>,
    /// Whose claim it is, by its place in [`Self::extensions`].
    claims: Vec<(usize, Claim)>,
}

impl ExtensionSet {
    /// Those that the target's settings switch on. `folder`: [`SessionSettings::extensions_dir`]. Nothing is written until
    /// there is something to keep.
    ///
    /// [`SessionSettings::extensions_dir`]: crate::model::settings::SessionSettings::extensions_dir
    pub fn new(mcp: &McpSettings, folder: &Path, session: Uuid) -> Self {
        let mut extensions: Vec<Box<dyn Extension>> = Vec::new();
        if mcp.extensions.results {
            extensions.push(Box::new(results::Results::new(mcp.max_output_tokens, folder, session)));
        }
        Self::of(extensions)
    }

    /// These.
    pub fn of(extensions: Vec<Box<dyn Extension>>) -> Self {
        let of_each = extensions.iter().enumerate();
        let claims = of_each.flat_map(|(place, one)| one.claims().iter().map(move |claim| (place, *claim))).collect();
        Self { extensions, claims }
    }

    /// The methods whose answers go through [`Self::result`]; each once.
    pub fn results(&self) -> Vec<&'static str> {
        let mut methods: Vec<_> = self.extensions.iter().flat_map(|one| one.results()).copied().collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }

    /// The requests that go to [`Self::serve`], which takes their place in this list.
    pub fn claims(&self) -> Vec<Claim> {
        self.claims.iter().map(|(_, claim)| *claim).collect()
    }

    /// An answer to one of [`Self::results`]: what the client gets.
    pub fn result(&mut self, method: &str, frame: Frame) -> Frame {
        let asked = self.extensions.iter_mut().filter(|one| one.results().contains(&method));
        asked.fold(frame, |frame, one| one.result(method, frame))
    }

    /// A batch of answers, of which some are to those methods: what the client gets. It stays as it came where nothing
    /// in it is changed.
    pub fn batch(&mut self, methods: &[Option<&'static str>], frame: Frame) -> Frame {
        let mut parts: Vec<&[u8]> = Vec::new();
        let read = json::list(frame.bytes(), |part| {
            parts.push(part);
            Ok::<_, std::convert::Infallible>(())
        });
        if read.is_err() || parts.len() != methods.len() {
            return frame;
        }
        let mut changed = false;
        let mut seen = Vec::with_capacity(parts.len());
        for (part, method) in parts.into_iter().zip(methods) {
            let alone = make::alone(part);
            let after = method.map_or_else(|| alone.clone(), |method| self.result(method, alone.clone()));
            changed |= after != alone;
            seen.push(after);
        }
        if !changed {
            return frame;
        }
        let parts: Vec<&[u8]> = seen.iter().map(|part| part.bytes().trim_ascii_end()).collect();
        Frame::new([b"[", parts.join(&b","[..]).as_slice(), b"]"].concat())
    }

    /// The answer to a request that fits a claim.
    pub fn serve(&mut self, claim: usize, frame: &Frame) -> Frame {
        let found = self.claims.get(claim).and_then(|(place, claim)| Some((self.extensions.get_mut(*place)?, claim)));
        if let Some((extension, claim)) = found {
            return extension.serve(claim, frame);
        }
        let request = reply::Request::read(frame);
        request.error(reply::INTERNAL_ERROR, "mcpmon has no extension for this request", None)
    }

    /// The session is over.
    pub fn end(&mut self) {
        for extension in &mut self.extensions {
            extension.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds its name to what it sees.
    #[derive(Debug)]
    struct Mark {
        name: &'static str,
        results: &'static [&'static str],
        claims: &'static [Claim],
    }

    impl Mark {
        fn on(&self, frame: &Frame) -> Frame {
            let text = String::from_utf8_lossy(frame.bytes()).trim_end().to_owned();
            Frame::new(format!("{text}{}\n", self.name))
        }
    }

    impl Extension for Mark {
        fn name(&self) -> &'static str {
            self.name
        }
        fn results(&self) -> &'static [&'static str] {
            self.results
        }
        fn claims(&self) -> &'static [Claim] {
            self.claims
        }
        fn result(&mut self, _: &str, frame: Frame) -> Frame {
            self.on(&frame)
        }
        fn serve(&mut self, claim: &Claim, frame: &Frame) -> Frame {
            assert!(self.claims.contains(claim));
            self.on(frame)
        }
        fn end(&mut self) {}
    }

    const ONE: Claim = Claim { method: "resources/read", field: "uri", prefix: "one://" };
    const TWO: Claim = Claim { method: "tools/call", field: "name", prefix: "two_" };

    #[test]
    fn each_sees_what_it_asked_for() {
        let mut set = ExtensionSet::of(vec![
            Box::new(Mark { name: "a", results: &["tools/call", "tools/list"], claims: &[ONE] }),
            Box::new(Mark { name: "b", results: &["tools/call"], claims: &[TWO, ONE] }),
        ]);
        assert_eq!(set.results(), ["tools/call", "tools/list"]);
        assert_eq!(set.claims(), [ONE, TWO, ONE]);
        let frame = || Frame::new("{}".to_owned());
        assert_eq!(set.result("tools/call", frame()), Frame::new("{}ab".to_owned()));
        assert_eq!(set.result("tools/list", frame()), Frame::new("{}a".to_owned()));
        assert_eq!(set.result("prompts/get", frame()), frame());
        assert_eq!(set.serve(0, &frame()), Frame::new("{}a".to_owned()));
        assert_eq!(set.serve(1, &frame()), Frame::new("{}b".to_owned()));
        let nobodys = set.serve(3, &Frame::new(r#"{"jsonrpc":"2.0","id":7,"method":"x"}"#.to_owned()));
        assert!(nobodys.bytes().starts_with(br#"{"jsonrpc":"2.0","id":7,"error""#), "{nobodys:?}");
    }

    #[test]
    fn a_batch_is_put_together_again_where_a_part_of_it_is_changed() {
        /// Makes large results small.
        #[derive(Debug)]
        struct Small;
        impl Extension for Small {
            fn name(&self) -> &'static str {
                "small"
            }
            fn results(&self) -> &'static [&'static str] {
                &["tools/call"]
            }
            fn claims(&self) -> &'static [Claim] {
                &[]
            }
            fn result(&mut self, _: &str, frame: Frame) -> Frame {
                if frame.len() > 10 { Frame::new("{\"s\":1}".to_owned()) } else { frame }
            }
            fn serve(&mut self, _: &Claim, frame: &Frame) -> Frame {
                frame.clone()
            }
            fn end(&mut self) {}
        }
        let mut set = ExtensionSet::of(vec![Box::new(Small)]);
        let frame = |text: &str| Frame::new(text.to_owned());
        let methods = [Some("tools/call"), None, Some("tools/call")];
        let small = frame("[ {\"a\":1} , {\"long\":\"long\"},{} ]");
        assert_eq!(set.batch(&methods, small.clone()), small, "as it came");
        let large = frame("[{\"long\":\"long\"}, {\"long\":\"long\"},{}]");
        assert_eq!(set.batch(&methods, large), frame("[{\"s\":1},{\"long\":\"long\"},{}]"));
    }

    #[test]
    fn what_is_off_asks_for_nothing() {
        let mut mcp = crate::model::testing::target("api", "image").mcp;
        let folder = Path::new("/nowhere");
        assert_eq!(ExtensionSet::new(&mcp, folder, Uuid::nil()).claims().len(), 1);
        mcp.extensions.results = false;
        let off = ExtensionSet::new(&mcp, folder, Uuid::nil());
        assert!(off.results().is_empty() && off.claims().is_empty());
    }
}
