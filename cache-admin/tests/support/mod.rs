//! A site with the page in it, and its clients.

pub(crate) mod browser;
pub(crate) mod site;
