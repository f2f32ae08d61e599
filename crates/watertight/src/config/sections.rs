//! Cuts the tenants out of a document, so that a hundred thousand of them need little memory.
//!
//! A parsed document takes some fifty times the memory of its text. Tenants are the one table that
//! grows with the business, so runs of `[tenants.NAME]` tables, and of lines in `[tenants]`, are
//! parsed in pieces, and the rest of the document in one. Where tables and lines begin is found by
//! TOML's own lexer: a bracket in a string, a comment or an array is not mistaken for one. What
//! belongs to a tenant, such as `[[tenants.NAME.throttle]]`, stays with it if it follows at once.
//! What only TOML as a whole can judge, such as dotted keys, is left in one piece.

use std::{borrow::Cow, iter::Peekable, ops::Range};

use toml_parser::{
    Source,
    lexer::{Lexer, Token, TokenKind},
};

/// How much text of tenants is parsed at once, in bytes; a single tenant may be longer.
const PIECE: usize = 64 * 1024;

/// A document in parts. Each part is TOML by itself.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    /// Everything but the tenants, each byte where it was; the tenants are blank.
    pub(super) rest: Cow<'a, str>,
    /// The tenants.
    pub(super) tenants: Vec<Piece>,
}

/// Some tenants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

/// How tenants are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// `[tenants.NAME]` and what follows.
    Tables,
    /// `NAME = { … }`, under `[tenants]`.
    Lines,
}

impl<'a> Sections<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut scan = Scan::new(text);
        if !scan.run() || scan.pieces.is_empty() {
            return Self::whole(text);
        }
        let mut rest = String::with_capacity(text.len());
        for blank in &scan.blank {
            rest.push_str(&text[rest.len()..blank.start]);
            rest.extend(std::iter::repeat_n(' ', blank.len()));
        }
        rest.push_str(&text[rest.len()..]);
        Self {
            rest: Cow::Owned(rest),
            tenants: scan.pieces,
        }
    }

    /// The document in one part.
    pub(super) fn whole(text: &'a str) -> Self {
        Self {
            rest: Cow::Borrowed(text),
            tenants: Vec::new(),
        }
    }
}

/// A pass over the tokens of a document.
struct Scan<'a> {
    text: &'a str,
    tokens: Peekable<Lexer<'a>>,
    pieces: Vec<Piece>,
    /// What is cut out: the pieces, and the header `[tenants]`.
    blank: Vec<Range<usize>>,
    /// The piece that is open: where it and its section begin.
    open: Option<(usize, usize, Kind)>,
    /// The tenant whose table is open, as it is written.
    tenant: Option<&'a str>,
    has_tenants_header: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            tokens: Source::new(text).lex().peekable(),
            pieces: Vec::new(),
            blank: Vec::new(),
            open: None,
            tenant: None,
            has_tenants_header: false,
        }
    }

    /// False when the document must be read whole.
    fn run(&mut self) -> bool {
        let mut depth = 0_usize;
        let mut at_line_start = true;
        while let Some(token) = self.tokens.next() {
            let (kind, start) = (token.kind(), token.span().start());
            let is_first = at_line_start && depth == 0;
            let is_right = match kind {
                TokenKind::LeftSquareBracket if is_first => self.header(start),
                TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString if is_first => {
                    self.line(start)
                }
                _ => true,
            };
            if !is_right {
                return false;
            }
            match kind {
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
            at_line_start = match kind {
                TokenKind::Newline => true,
                TokenKind::Whitespace => at_line_start,
                _ => false,
            };
        }
        self.close(self.text.len());
        true
    }

    /// A section begins at `start`; its opening bracket was read.
    fn header(&mut self, start: usize) -> bool {
        let is_list = self
            .tokens
            .next_if(|next| next.kind() == TokenKind::LeftSquareBracket)
            .is_some();
        let mut words: Vec<Token> = Vec::new();
        while let Some(word) = self.tokens.next_if(|next| is_in_header(next.kind())) {
            if word.kind() != TokenKind::Whitespace {
                words.push(word);
            }
        }
        let text = self.text;
        let written = |word: &Token| &text[word.span().start()..word.span().end()];
        let is_tenants = words
            .first()
            .is_some_and(|word| word.kind() == TokenKind::Atom && written(word) == "tenants");
        let tenant = words.get(2).filter(|_| is_tenants).map(written);
        if words.len() > 3 && is_tenants {
            // Of a tenant's table, if that is open; otherwise TOML must see the two together.
            return tenant.is_some() && tenant == self.tenant;
        }
        self.close(start);
        let Some(end) = self.tokens.peek().copied() else {
            return true;
        };
        let is_closed = end.kind() == TokenKind::RightSquareBracket;
        match words.get(1).map(Token::kind) {
            _ if !is_tenants => true,
            _ if is_list => false,
            Some(TokenKind::Dot) => {
                self.tenant = tenant;
                self.open = Some((start, start, Kind::Tables));
                true
            }
            None if is_closed && !self.has_tenants_header => {
                self.has_tenants_header = true;
                let after = end.span().end();
                self.open = Some((start, after, Kind::Lines));
                let line = self.text[after..].lines().next().unwrap_or_default();
                let line = line.trim_start_matches([' ', '\t']);
                line.is_empty() || line.starts_with('#')
            }
            _ => false,
        }
    }

    /// A line that is no header begins at `start`; the first token of its key was read.
    fn line(&mut self, start: usize) -> bool {
        let Some((section, begun, Kind::Lines)) = self.open else {
            return true;
        };
        if start - begun >= PIECE {
            self.close(start);
            self.open = Some((start, start, Kind::Lines));
        } else {
            self.open = Some((section, begun, Kind::Lines));
        }
        let space = |next: &Token| next.kind() == TokenKind::Whitespace;
        self.tokens.next_if(space);
        let next = self.tokens.peek().map(Token::kind);
        next == Some(TokenKind::Equals)
    }

    /// Ends the piece that is open at `end`.
    fn close(&mut self, end: usize) {
        self.tenant = None;
        let Some((section, begun, kind)) = self.open.take() else {
            return;
        };
        self.blank.push(section..end);
        match self.pieces.last_mut() {
            Some(last)
                if kind == Kind::Tables
                    && last.kind == Kind::Tables
                    && last.span.end == begun
                    && last.span.len() < PIECE =>
            {
                last.span.end = end;
            }
            _ => self.pieces.push(Piece {
                span: begun..end,
                kind,
            }),
        }
    }
}

fn is_in_header(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Atom
            | TokenKind::BasicString
            | TokenKind::Dot
            | TokenKind::LiteralString
            | TokenKind::Whitespace
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(text: &str) -> Vec<(&str, Kind)> {
        let sections = Sections::of(text);
        assert_eq!(sections.rest.len(), text.len());
        let pieces = sections.tenants.into_iter();
        pieces
            .map(|piece| (&text[piece.span], piece.kind))
            .collect()
    }

    #[test]
    fn tenants_are_cut_out_and_the_rest_stays_in_place() {
        let text = "[node]\nid = 'a'\n[tenants.a]\nplan = 'p'\n[ tenants . b ]\n[plans.p]\n";
        assert_eq!(
            tenants(text),
            [("[tenants.a]\nplan = 'p'\n[ tenants . b ]\n", Kind::Tables)]
        );
        let rest = Sections::of(text).rest;
        assert_eq!(rest.find("[plans"), text.find("[plans"));
        assert!(!rest.contains("tenants"));
    }

    #[test]
    fn lines_of_tenants_are_cut_out_without_their_header() {
        let text = "[tenants] # all\na = { plan = 'p' }\n\"b\" = {}\n[tenants.c]\n[node]\n";
        assert_eq!(
            tenants(text),
            [
                (" # all\na = { plan = 'p' }\n\"b\" = {}\n", Kind::Lines),
                ("[tenants.c]\n", Kind::Tables)
            ]
        );
        assert_eq!(Sections::of(text).rest.trim(), "[node]");
    }

    #[test]
    fn what_only_looks_like_a_tenant_is_left_alone() {
        for text in [
            "a = '''\n[tenants.a]\n'''",
            "a = [\n[tenants.a]\n]",
            "# x\n#[tenants.a]\n",
            "[[tenants.a]]",
            "[[tenants]]",
            "[tenantsx.a]",
            "['tenants'.a]",
            "a = {\n[tenants.a]\n}",
            "[tenants]\na.plan = 'p'",
            "[tenants] a = {}",
            "[tenants]\n[tenants]",
            "[tenants x]",
        ] {
            assert!(tenants(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_belongs_to_a_tenant_stays_with_it() {
        let table = "[tenants.a]\nplan = 'p'\n";
        let limit = "[[tenants.a.throttle]]\n[tenants.a.throttle.fallback]\n";
        let text = format!("{table}{limit}[tenants.b]\n[plans.p]\n");
        let cut = format!("{table}{limit}[tenants.b]\n");
        assert_eq!(tenants(&text), [(cut.as_str(), Kind::Tables)]);
        for elsewhere in [
            limit.to_owned(),
            format!("[tenants.b]\n{limit}"),
            format!("{table}[plans.p]\n{limit}"),
            format!("{table}[[tenants.'a'.throttle]]\n"),
            "[tenants]\na = {}\n[[tenants.a.throttle]]\n".to_owned(),
        ] {
            assert!(tenants(&elsewhere).is_empty(), "{elsewhere}");
        }
    }

    #[test]
    fn many_tenants_come_in_several_pieces() {
        let tables: String = (0..10_000)
            .map(|number| {
                let limit = format!("[[tenants.t{number}.throttle]]\nlimit = 1\n");
                let limit = if number % 100 == 0 {
                    limit
                } else {
                    String::new()
                };
                format!("[tenants.t{number}]\nplan = \"p\"\n{limit}")
            })
            .collect();
        let lines: String = (0..10_000)
            .map(|number| format!("t{number} = {{ plan = \"p\" }}\n"))
            .collect();
        for (text, cut) in [
            (tables.clone(), tables),
            (format!("[tenants]{lines}"), String::new()),
            (format!("[tenants]\n{lines}"), format!("\n{lines}")),
        ] {
            let pieces = tenants(&text);
            assert!(pieces.len() > 2 || cut.is_empty());
            let joined: String = pieces.iter().map(|(piece, _)| *piece).collect();
            assert_eq!(joined, cut);
        }
    }
}
