//! What is known of a key.

use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::Terminal;

pub(crate) async fn run(target: &Target, terminal: &Terminal, key: &str) -> Result<Ending, Failure> {
    let explanation = target.ready().await?.explain(key).await?;
    terminal.answer(&explanation, || explanation.to_string())?;
    Ok(Ending::Done)
}
