//! One file of Rust as facts: what it imports, defines and says. Comments are no tokens, and what
//! stands in documentation is no fact.

use proc_macro2::{Delimiter, Group, LexError, TokenStream, TokenTree};

/// Something that stands in a file.
#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// It stands in an item under `#[cfg(test)]`.
    pub(crate) test: bool,
}

/// A module that a file declares.
#[derive(Debug)]
pub(crate) struct Module {
    /// The inline modules that it stands in, and its name.
    pub(crate) path: Vec<String>,
    /// Its body stands in the same file.
    pub(crate) inline: bool,
    pub(crate) test: bool,
}

/// A path with at least two segments, or one leaf of a `use`.
#[derive(Debug)]
pub(crate) struct Path {
    /// `crate`, `self` and `super` as written; `""` first stands for a leading `::`.
    pub(crate) segments: Vec<String>,
    /// The inline modules that it stands in.
    pub(crate) inside: Vec<String>,
    /// What it binds, if it is a leaf of a `use`.
    pub(crate) import: Option<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From the line of `fn` through the line of the closing brace.
    pub(crate) lines: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) modules: Vec<Module>,
    pub(crate) paths: Vec<Path>,
    pub(crate) functions: Vec<Function>,
    /// Structs, enums, traits and type aliases; no associated types.
    pub(crate) types: Vec<Spot>,
    pub(crate) literals: Vec<Spot>,
    /// Every identifier outside `use`; `.name` after a dot.
    pub(crate) words: Vec<Spot>,
}

pub(crate) fn read(text: &str) -> Result<Facts, LexError> {
    let mut reader = Reader::default();
    reader.group(text.parse()?, Body::Items);
    Ok(reader.facts)
}

/// What may stand before `::name`, and is no segment of it.
const BEFORE_PATHS: [&str; 14] =
    ["as", "break", "const", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "pub", "return", "while"];

#[derive(Default)]
struct Reader {
    facts: Facts,
    inside: Vec<String>,
    test: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Items,
    /// The body of an `impl` or a `trait`: a `type` in it is no type of its own.
    Associated,
}

impl Reader {
    fn group(&mut self, stream: TokenStream, body: Body) {
        self.tokens(&stream.into_iter().collect::<Vec<_>>(), body);
    }

    fn tokens(&mut self, tokens: &[TokenTree], body: Body) {
        // The keyword that says what the next braces are the body of.
        let mut item = None;
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(tokens, at),
                TokenTree::Punct(_) if colons(tokens, at) => self.path(tokens, at),
                TokenTree::Punct(punct) => {
                    item = item.filter(|_| punct.as_char() != ';');
                    at + 1
                }
                TokenTree::Ident(_) => {
                    let word = word(tokens, at).unwrap_or_default();
                    if ["fn", "impl", "trait", "mod", "struct", "enum"].contains(&&*word) {
                        item.get_or_insert(word.clone());
                    }
                    self.word(&word, tokens, at, body)
                }
                TokenTree::Group(group) => {
                    let braces = group.delimiter() == Delimiter::Brace;
                    let owner = if braces { item.take() } else { None };
                    let associated = matches!(owner.as_deref(), Some("impl" | "trait"));
                    let body = if associated { Body::Associated } else { Body::Items };
                    self.group(group.stream(), body);
                    at + 1
                }
                TokenTree::Literal(literal) => {
                    self.facts.literals.push(self.spot(literal.to_string(), &tokens[at]));
                    at + 1
                }
            };
        }
    }

    /// `#[…]`, and the whole item if that is `#[cfg(test)]`. Returns where the reader goes on, as
    /// all of these do.
    fn attribute(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let bracket = at + 1 + usize::from(punct(tokens, at + 1, '!'));
        let Some(attribute) = group(tokens, bracket, Delimiter::Bracket) else { return at + 1 };
        let content: Vec<TokenTree> = attribute.stream().into_iter().collect();
        if word(&content, 0).as_deref() == Some("doc") {
            return bracket + 1;
        }
        if !is_cfg_test(&content) {
            self.tokens(&content, Body::Items);
            return bracket + 1;
        }
        let end = item_end(tokens, bracket + 1);
        let outer = std::mem::replace(&mut self.test, true);
        self.tokens(&tokens[bracket + 1..end], Body::Items);
        self.test = outer;
        end
    }

    fn word(&mut self, word: &str, tokens: &[TokenTree], at: usize, body: Body) -> usize {
        match word {
            "pub" if restricted(tokens, at) => return at + 2,
            "use" if !punct(tokens, at + 1, '<') => return self.imports(tokens, at),
            "mod" => return self.module(tokens, at),
            "fn" => self.function(tokens, at),
            "type" if body == Body::Associated => {}
            "struct" | "enum" | "trait" | "type" => {
                if let Some(name) = self::word(tokens, at + 1) {
                    self.facts.types.push(self.spot(name, &tokens[at + 1]));
                }
            }
            _ if colons(tokens, at + 1) && !BEFORE_PATHS.contains(&word) => return self.path(tokens, at),
            _ => {
                let dot = if at > 0 && punct(tokens, at - 1, '.') { "." } else { "" };
                self.facts.words.push(self.spot([dot, word].concat(), &tokens[at]));
            }
        }
        at + 1
    }

    fn module(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let Some(name) = word(tokens, at + 1) else { return at + 1 };
        let body = group(tokens, at + 2, Delimiter::Brace);
        self.inside.push(name);
        let (path, inline) = (self.inside.clone(), body.is_some());
        self.facts.modules.push(Module { path, inline, test: self.test });
        if let Some(body) = body {
            self.group(body.stream(), Body::Items);
        }
        self.inside.pop();
        at + 3
    }

    fn function(&mut self, tokens: &[TokenTree], at: usize) {
        let Some(name) = word(tokens, at + 1 + usize::from(punct(tokens, at + 1, '$'))) else { return };
        for next in at..tokens.len() {
            if let Some(body) = group(tokens, next, Delimiter::Brace) {
                let (first, last) = (line(&tokens[at]), body.span_close().end().line);
                self.facts.functions.push(Function { name, line: first, lines: last - first + 1 });
                return;
            } else if punct(tokens, next, ';') {
                return;
            }
        }
    }

    /// A path in an expression, a type or a pattern. What follows it is read as any other token.
    fn path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let (mut at, mut segments) = (start, Vec::new());
        if colons(tokens, at) {
            segments.push(String::new());
            at += 2;
        }
        while let Some(segment) = word(tokens, at) {
            self.facts.words.push(self.spot(segment.clone(), &tokens[at]));
            segments.push(segment);
            at += 1;
            if !colons(tokens, at) || word(tokens, at + 2).is_none() {
                break;
            }
            at += 2;
        }
        self.push(segments, None, &tokens[start]);
        at
    }

    fn imports(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let end = (at..tokens.len()).find(|&end| punct(tokens, end, ';')).unwrap_or(tokens.len());
        self.import(&tokens[at + 1..end], &[]);
        end
    }

    /// One tree of a `use`, below `prefix`.
    fn import(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let mut name = None;
        if prefix.is_empty() && colons(tokens, 0) {
            segments.push(String::new());
        }
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let trees: Vec<TokenTree> = group.stream().into_iter().collect();
                    for tree in trees.split(|token| is_punct(token, ',')) {
                        self.import(tree, &segments);
                    }
                    return;
                }
                TokenTree::Ident(ident) if ident == "as" => {
                    name = word(tokens, at + 1);
                    break;
                }
                TokenTree::Ident(_) => segments.extend(word(tokens, at)),
                token if is_punct(token, '*') => segments.push("*".to_owned()),
                _ => {}
            }
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        if let (Some(last), Some(token)) = (segments.last().cloned(), tokens.first()) {
            self.push(segments, Some(name.unwrap_or(last)), token);
        }
    }

    fn push(&mut self, segments: Vec<String>, import: Option<String>, token: &TokenTree) {
        let (inside, line, test) = (self.inside.clone(), line(token), self.test);
        self.facts.paths.push(Path { segments, inside, import, line, test });
    }

    fn spot(&self, text: String, token: &TokenTree) -> Spot {
        Spot { text, line: line(token), test: self.test }
    }
}

fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn punct(tokens: &[TokenTree], at: usize, char: char) -> bool {
    tokens.get(at).is_some_and(|token| is_punct(token, char))
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    punct(tokens, at, ':') && punct(tokens, at + 1, ':')
}

fn group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<&Group> {
    match tokens.get(at)? {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// `pub(crate)`, `pub(super)` and `pub(in …)`, which import nothing; the field of a tuple may be
/// `pub (A, B)`.
fn restricted(tokens: &[TokenTree], at: usize) -> bool {
    let Some(group) = group(tokens, at + 1, Delimiter::Parenthesis) else { return false };
    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
    let first = word(&inner, 0);
    first.as_deref() == Some("in") || inner.len() == 1 && matches!(first.as_deref(), Some("crate" | "super" | "self"))
}

/// `cfg(test)` and `cfg(all(test, …))`.
fn is_cfg_test(attribute: &[TokenTree]) -> bool {
    let Some(condition) = group(attribute, 1, Delimiter::Parenthesis) else { return false };
    let condition: Vec<TokenTree> = condition.stream().into_iter().collect();
    word(attribute, 0).as_deref() == Some("cfg")
        && match word(&condition, 0).as_deref() {
            Some("test") => true,
            Some("all") => group(&condition, 1, Delimiter::Parenthesis).is_some_and(|all| {
                all.stream().into_iter().any(|token| matches!(token, TokenTree::Ident(ident) if ident == "test"))
            }),
            _ => false,
        }
}

/// Behind the item, statement, field or arm that begins at `start`.
fn item_end(tokens: &[TokenTree], start: usize) -> usize {
    let ident = |token: &TokenTree| match token {
        TokenTree::Ident(ident) if ident != "pub" => Some(ident.to_string()),
        _ => None,
    };
    let keyword = tokens[start..].iter().find_map(ident).unwrap_or_default();
    // Commas between the parameters and the bounds of an item do not end it.
    let item = ["mod", "use", "fn", "async", "const", "static", "impl", "struct", "enum", "trait", "type"]
        .contains(&&*keyword);
    let ends = |at: &usize| {
        group(tokens, *at, Delimiter::Brace).is_some() || punct(tokens, *at, ';') || punct(tokens, *at, ',') && !item
    };
    (start..tokens.len()).find(ends).map_or(tokens.len(), |last| last + 1)
}
