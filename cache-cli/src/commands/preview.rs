//! What an invalidation would remove.

use cache_core::{Cache, Invalidation, Preview};

use crate::args::NameArguments;
use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::Terminal;

pub(crate) async fn run(target: &Target, terminal: &Terminal, names: &NameArguments) -> Result<Ending, Failure> {
    let preview = of(&target.ready().await?, names).await?;
    terminal.answer(&preview, || preview.to_string())?;
    Ok(Ending::Done)
}

pub(crate) async fn of(cache: &Cache, names: &NameArguments) -> Result<Preview, Failure> {
    let named = if names.everything { Invalidation::new().pattern("*") } else { named(names) };
    Ok(cache.preview(named).await?)
}

pub(crate) fn named(names: &NameArguments) -> Invalidation {
    let named = Invalidation::new().keys(names.key.iter().map(String::as_str));
    let named = named.tags(names.tag.iter().map(String::as_str));
    names.pattern.iter().fold(named, |named, pattern| named.pattern(pattern))
}
