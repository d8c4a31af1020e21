//! `codec` and `compress`, for every attribute that takes them: knows nothing of functions.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::parse::ParseStream;
use syn::{Expr, ExprLit, Ident, Lit, Path, Token};

use crate::errors::{listed, nearest};
use crate::options::{self, peel};

const CODECS: [&str; 3] = ["json", "postcard", "rmp"];
const COMPRESSIONS: [&str; 3] = ["lz4", "zstd", "none"];
const DEFAULT_COMPRESSION: &str = "lz4";

/// What an option says of the payload.
pub(crate) enum Packing {
    /// One of ours, which is a function of that name in the runtime.
    Ours(Ident),
    /// A codec of the user's.
    Own(Path),
}

impl Packing {
    /// `= "postcard"`, or `= MyCodec`.
    pub(crate) fn read_codec(name: &Ident, input: ParseStream<'_>) -> syn::Result<Self> {
        let value: Expr = options::value(name, input)?;
        match peel(&value) {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => ours("codec", &text.value(), &CODECS, text.span()),
            Expr::Path(path) => {
                let word = path.path.get_ident().map(Ident::to_string).unwrap_or_default();
                match CODECS.contains(&word.as_str()) {
                    true => Err(syn::Error::new_spanned(path, format!("`{word}` is a text: `codec = \"{word}\"`"))),
                    false => Ok(Self::Own(path.path.clone())),
                }
            }
            other => Err(syn::Error::new_spanned(
                other,
                "`codec` is the name of one of ours, or a codec of your own: `codec = \"postcard\"`, `codec = MyCodec`",
            )),
        }
    }

    /// Nothing, or `= "zstd"`.
    pub(crate) fn read_compression(name: &Ident, input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(Token![=]) {
            return Ok(Self::Ours(Ident::new(DEFAULT_COMPRESSION, located(name.span()))));
        }
        let text = options::string(name, input)?;
        ours("compress", &text.value(), &COMPRESSIONS, text.span())
    }

    /// The `Format`, or the `Compression`.
    pub(crate) fn tokens(&self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Ours(function) => quote_spanned!(function.span() => #private::#function::<()>()),
            Self::Own(path) => {
                let span = path.segments.last().map_or_else(Span::mixed_site, |last| located(last.ident.span()));
                quote_spanned!(span => #private::own_codec(&#path))
            }
        }
    }
}

fn ours(option: &str, word: &str, known: &[&str], span: Span) -> syn::Result<Packing> {
    if known.contains(&word) {
        return Ok(Packing::Ours(Ident::new(word, located(span))));
    }
    let message = match nearest(word, known.iter().copied()) {
        Some(meant) => format!("`{option}` knows no `{word}`: did you mean `{meant}`?"),
        None => format!("`{option}` knows no `{word}`: there are {}", listed(known)),
    };
    Err(syn::Error::new(span, message))
}

fn located(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
