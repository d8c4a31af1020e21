//! `#[cached(…)]` as written: each value beside its name, nothing compared with the function yet.

mod policy;

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprClosure, Ident, LitStr, Path, Token};

use self::policy::PolicyReader;
pub(crate) use self::policy::{PolicySetting, PolicyValue, Role};
use crate::context;
use crate::duration::Lifetime;
use crate::errors::Errors;
use crate::names::{Item, Kind, check_prefix, read_items};
use crate::options::{self, peel};
use crate::template::Template;

#[derive(Default)]
pub(crate) struct CachedOptions {
    pub(crate) prefix: Option<LitStr>,
    pub(crate) key: Option<Template>,
    /// Parameters, type parameters, `self`, `Self`.
    pub(crate) skip: Vec<Ident>,
    pub(crate) companion: Option<Companion>,
    pub(crate) tags: Vec<Item>,
    pub(crate) depends_on: Vec<Item>,
    pub(crate) when: Option<ExprClosure>,
    pub(crate) cache: Option<Expr>,
    /// The parameter that brings the cache.
    pub(crate) context: Option<Ident>,
    /// The parameter that holds the ids of a batch.
    pub(crate) each: Option<Ident>,
    /// For how long copies are kept in the process.
    pub(crate) near: Option<Near>,
    /// Which share of hits is verified.
    pub(crate) verify: Option<Verify>,
    /// The flag, as written.
    pub(crate) finish: Option<Ident>,
    pub(crate) krate: Option<Path>,
    /// In the order of the table.
    pub(crate) policy: Vec<PolicySetting>,
}

/// The option `near`.
pub(crate) struct Near {
    pub(crate) name: Ident,
    pub(crate) lifetime: Lifetime,
}

/// The option `verify`.
pub(crate) struct Verify {
    pub(crate) name: Ident,
    /// `None`: the cache says it.
    pub(crate) share: Option<f64>,
}

/// Where `key` and `refresh` live.
pub(crate) enum Companion {
    /// `companion = Self`: associated functions.
    Associated,
    /// `companion = none`.
    None,
    /// `companion = Name`: a type of that name.
    Named(Ident),
}

/// Where an option goes, and how it is read.
enum Destination {
    /// A field of [`CachedOptions`]: see [`CachedOptions::read_field`].
    Field,
    /// A setter of the policy of the same name.
    Policy(PolicyReader, &'static [Role]),
}

use Destination::{Field, Policy};
use Role::{Age, Background, OwnTask};

/// Every option, in the order in which messages list them. A setter of the policy is a row here and
/// nothing else.
const OPTIONS: &[(&str, Destination)] = &[
    ("prefix", Field),
    ("ttl", Policy(policy::lifetime, &[Role::Lifetime])),
    ("class", Policy(policy::class, &[Role::Lifetime])),
    ("key", Field),
    ("skip", Field),
    ("companion", Field),
    ("tags", Field),
    ("depends_on", Field),
    ("version", Policy(policy::version, &[])),
    ("when", Field),
    ("negative_ttl", Policy(policy::lifetime, &[])),
    ("cache", Field),
    ("context", Field),
    ("jitter", Policy(policy::jitter, &[])),
    ("each", Field),
    ("stale_while_revalidate", Policy(policy::stale_window, &[Age, Background])),
    ("stale_if_error", Policy(policy::stale_window, &[Age])),
    ("early_refresh", Policy(policy::beta, &[Age, Background])),
    ("adaptive_ttl", Policy(policy::range, &[Role::Lifetime, Age])),
    ("wait", Policy(policy::wait, &[])),
    ("finish", Field),
    ("near", Field),
    ("verify", Field),
    ("load_timeout", Policy(policy::load_timeout, &[Age, OwnTask])),
    ("codec", Policy(policy::codec, &[])),
    ("compress", Policy(policy::compression, &[])),
    ("crate", Field),
];

impl CachedOptions {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut found = Self::default();
        let known: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
        options::read_options(tokens, &known, errors, |name, input, errors| found.read(name, input, errors));
        found.policy.sort_by_key(|setting| known.iter().position(|known| setting.name == known));
        found
    }

    fn read(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        match OPTIONS.iter().find(|(known, _)| name == known) {
            Some((_, Policy(read, roles))) => {
                let value = read(name, input)?;
                self.policy.push(PolicySetting { name: name.clone(), value, roles });
                Ok(())
            }
            _ => self.read_field(name, input, errors),
        }
    }

    fn read_field(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        match name.to_string().as_str() {
            "prefix" => {
                let prefix = options::string(name, input)?;
                check_prefix(&prefix, errors);
                self.prefix = Some(prefix);
            }
            "key" => {
                let template = Template::parse(&options::string(name, input)?, errors);
                template.check_injective(errors);
                self.key = Some(template);
            }
            "skip" => self.skip = read_skip(name, input)?,
            "companion" => self.companion = Some(read_companion(name, input)?),
            "tags" => self.tags = read_items(name, Kind::Tag, input, errors)?,
            "depends_on" => self.depends_on = read_items(name, Kind::Key, input, errors)?,
            "when" => self.when = Some(read_closure(name, input)?),
            "cache" => self.cache = Some(options::value(name, input)?),
            "context" => self.context = Some(context::read(name, input)?),
            "each" => self.each = Some(read_each(name, input)?),
            "near" => self.near = Some(Near { name: name.clone(), lifetime: policy::near(name, input)? }),
            "verify" => {
                let has_share = input.peek(Token![=]);
                let share = has_share.then(|| options::share_of_hits(name, input)).transpose()?;
                self.verify = Some(Verify { name: name.clone(), share });
            }
            "finish" => self.finish = Some(options::flag(name, input)?),
            _ => self.krate = Some(options::value(name, input)?),
        }
        Ok(())
    }

    /// The setting of one option of the policy, if it is written.
    pub(crate) fn setting(&self, name: &str) -> Option<&PolicySetting> {
        self.policy.iter().find(|setting| setting.name == name)
    }

    /// The settings that have a role.
    pub(crate) fn settings(&self, role: Role) -> impl Iterator<Item = &PolicySetting> {
        self.policy.iter().filter(move |setting| setting.roles.contains(&role))
    }

    /// The first option that has values loaded anew in the background, as written: to refresh, or
    /// to verify them.
    pub(crate) fn refreshes(&self) -> Option<&Ident> {
        let verify = self.verify.as_ref().map(|verify| &verify.name);
        self.settings(Background).next().map(|setting| &setting.name).or(verify)
    }

    /// The option that gives every load a task of its own, as written.
    pub(crate) fn own_task(&self) -> Option<&Ident> {
        self.finish.as_ref().or(self.settings(OwnTask).next().map(|setting| &setting.name))
    }

    /// The first option for which a body runs without its caller, as written.
    pub(crate) fn background(&self) -> Option<&Ident> {
        self.refreshes().or(self.own_task())
    }
}

fn read_skip(name: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let form = || syn::Error::new_spanned(name, "`skip` lists parameters: `skip(db, trace_id)`");
    if !input.peek(syn::token::Paren) {
        return Err(form());
    }
    let names;
    syn::parenthesized!(names in input);
    let list = Punctuated::<Ident, Token![,]>::parse_terminated_with(&names, Ident::parse_any)?;
    if list.is_empty() {
        return Err(form());
    }
    Ok(list.into_iter().collect())
}

fn read_companion(name: &Ident, input: ParseStream<'_>) -> syn::Result<Companion> {
    let value: Expr = options::value(name, input)?;
    let ident = match peel(&value) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    let ident = ident.ok_or_else(|| {
        syn::Error::new_spanned(&value, "`companion` is `Self`, `none` or a new type name: `companion = GetFlight`")
    })?;
    Ok(match ident.to_string().as_str() {
        "Self" => Companion::Associated,
        "none" => Companion::None,
        _ => Companion::Named(ident),
    })
}

fn read_each(name: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    let value: Expr = options::value(name, input)?;
    let ident = match peel(&value) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    ident.ok_or_else(|| syn::Error::new_spanned(&value, "`each` names the parameter that holds the ids: `each = ids`"))
}

fn read_closure(name: &Ident, input: ParseStream<'_>) -> syn::Result<ExprClosure> {
    let value: Expr = options::value(name, input)?;
    match peel(&value) {
        Expr::Closure(closure) if closure.inputs.len() == 1 && closure.asyncness.is_none() => Ok(closure.clone()),
        other => Err(syn::Error::new_spanned(
            other,
            "`when` is a closure of the value: `when = |flight| flight.is_scheduled()`",
        )),
    }
}
