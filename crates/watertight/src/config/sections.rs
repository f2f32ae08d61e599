//! Cuts the tenants out of a document, so that a hundred thousand of them need little memory.
//!
//! A parsed document takes some fifty times the memory of its text. Tenants are the one table that
//! grows with the business, so runs of `[tenants.NAME]` tables are parsed in pieces, and the rest
//! of the document in one. Where tables begin is found by TOML's own lexer: a bracket in a string,
//! a comment or an array is not mistaken for one.

use std::{borrow::Cow, ops::Range};

use toml_parser::{
    Source,
    lexer::{Token, TokenKind},
};

/// How much text of tenants is parsed at once, in bytes; a single table may be longer.
const PIECE: usize = 64 * 1024;

/// A document in parts. Each part is TOML by itself.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    /// Everything but the tenants, each byte where it was; the tenants are blank.
    pub(super) rest: Cow<'a, str>,
    /// The places of the tenants.
    pub(super) tenants: Vec<Range<usize>>,
}

impl<'a> Sections<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let tenants = tenant_pieces(text);
        if tenants.is_empty() {
            return Self::whole(text);
        }
        let mut rest = String::with_capacity(text.len());
        for piece in &tenants {
            rest.push_str(&text[rest.len()..piece.start]);
            rest.extend(std::iter::repeat_n(' ', piece.len()));
        }
        rest.push_str(&text[rest.len()..]);
        Self {
            rest: Cow::Owned(rest),
            tenants,
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

fn tenant_pieces(text: &str) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut add = |section: Range<usize>| match pieces.last_mut() {
        Some(last) if last.end == section.start && last.len() < PIECE => last.end = section.end,
        _ => pieces.push(section),
    };
    let mut begun: Option<usize> = None;
    let mut depth = 0_usize;
    let mut at_line_start = true;
    let mut tokens = Source::new(text).lex().peekable();
    while let Some(token) = tokens.next() {
        match token.kind() {
            TokenKind::LeftSquareBracket if at_line_start && depth == 0 => {
                let start = token.span().start();
                if let Some(begun) = begun.take() {
                    add(begun..start);
                }
                let mut header = Vec::new();
                while let Some(next) = tokens.next_if(|next| is_header(next.kind())) {
                    if next.kind() != TokenKind::Whitespace {
                        header.push(next);
                    }
                }
                begun = is_tenant(text, &header).then_some(start);
                depth += 1;
            }
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        at_line_start = match token.kind() {
            TokenKind::Newline => true,
            TokenKind::Whitespace => at_line_start,
            _ => false,
        };
    }
    if let Some(begun) = begun {
        add(begun..text.len());
    }
    pieces
}

fn is_header(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Atom
            | TokenKind::Dot
            | TokenKind::Whitespace
            | TokenKind::BasicString
            | TokenKind::LiteralString
    )
}

/// Whether a header is that of one tenant: `tenants.NAME`.
fn is_tenant(text: &str, header: &[Token]) -> bool {
    match header {
        [table, dot, ..] => {
            dot.kind() == TokenKind::Dot
                && table.kind() == TokenKind::Atom
                && &text[table.span().start()..table.span().end()] == "tenants"
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(text: &str) -> Vec<&str> {
        let sections = Sections::of(text);
        assert_eq!(sections.rest.len(), text.len());
        sections.tenants.into_iter().map(|at| &text[at]).collect()
    }

    #[test]
    fn tenants_are_cut_out_and_the_rest_stays_in_place() {
        let text = "[node]\nid = 'a'\n[tenants.a]\nplan = 'p'\n[ tenants . b ]\n[plans.p]\n";
        assert_eq!(
            tenants(text),
            ["[tenants.a]\nplan = 'p'\n[ tenants . b ]\n"]
        );
        let rest = Sections::of(text).rest;
        assert_eq!(rest.find("[plans"), text.find("[plans"));
        assert!(!rest.contains("tenants"));
    }

    #[test]
    fn what_only_looks_like_a_tenant_is_left_alone() {
        for text in [
            "a = '''\n[tenants.a]\n'''",
            "a = [\n[tenants.a]\n]",
            "# x\n#[tenants.a]\n",
            "[[tenants.a]]",
            "[tenants]\na = {}",
            "[tenantsx.a]",
            "['tenants'.a]",
            "a = {\n[tenants.a]\n}",
        ] {
            assert!(tenants(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn many_tenants_come_in_several_pieces() {
        let text: String = (0..10_000)
            .map(|number| format!("[tenants.t{number}]\nplan = \"p\"\n"))
            .collect();
        let pieces = tenants(&text);
        assert!(pieces.len() > 2);
        assert_eq!(pieces.concat(), text);
    }
}
