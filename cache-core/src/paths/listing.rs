//! The names that a cache has, page by page.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::name::check_name_text;
use crate::runtime::Runtime;
use crate::store::Catalogue;

/// The keys or the tags of a cache, page by page. Made by [`Cache::keys`](crate::Cache::keys) and
/// [`Cache::tags`](crate::Cache::tags).
///
/// # Example
/// ```
/// # use cache_core::Cache;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_core::Error> {
/// # let cache = Cache::in_memory();
/// cache.put("flight:42", &"DFW to BOS".to_owned()).await?;
/// let mut keys = cache.keys("flight:*");
/// while let Some(page) = keys.next_page().await? {
///     page.iter().for_each(|key| println!("{key}"));
/// #     assert_eq!(page, ["flight:42"]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Listing {
    runtime: Arc<Runtime>,
    catalogue: Catalogue,
    pattern: String,
    /// `None`: the end was reached.
    next: Option<ListingCursor>,
}

/// Where a [`Listing`] goes on, for who answers each page by itself: a page of a web service, or a
/// program that goes on later. Its text is opaque.
///
/// The default is the beginning. A cursor counts for the same store and the same kind of names;
/// anywhere else it leads to any place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListingCursor(u64);

impl Listing {
    pub(crate) fn new(runtime: Arc<Runtime>, catalogue: Catalogue, pattern: String) -> Self {
        Self { runtime, catalogue, pattern, next: Some(ListingCursor::default()) }
    }

    /// Goes on at this place.
    #[must_use]
    pub fn resume_at(self, cursor: ListingCursor) -> Self {
        Self { next: Some(cursor), ..self }
    }

    /// Where the next page begins; `None`: there is none.
    pub fn cursor(&self) -> Option<ListingCursor> {
        self.next
    }

    /// The next page: names in their order, each once in this page. It may be empty although others
    /// follow. `None`: all was seen.
    ///
    /// # Cancel safety
    /// A call that is dropped has seen nothing: the next one returns the same page.
    ///
    /// # Cost
    /// One round trip. A page looks at about 1,000 keys of the database, those of other programs
    /// included, in well below 1 ms of the server's time.
    ///
    /// # Errors
    /// If the store could not be reached or did not answer, or the pattern can match nothing. The
    /// next call tries the same page again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<String>>, Error> {
        check_name_text(&self.pattern)?;
        let (Some(ListingCursor(cursor)), Some(store)) = (self.next, &self.runtime.store) else { return Ok(None) };
        let until = clock::now() + self.runtime.config.operation_deadline;
        let page = store.list(self.catalogue, &self.pattern, cursor, until).await?;
        self.next = page.next.map(ListingCursor);
        // What is none was stored by another program.
        let names = page.names.into_iter().filter(|name| check_name_text(name).is_ok());
        let mut names: Vec<String> = names.map(String::from).collect();
        names.sort_unstable();
        names.dedup();
        Ok(Some(names))
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { catalogue, pattern, next, .. } = self;
        f.debug_struct("Listing")
            .field("catalogue", catalogue)
            .field("pattern", pattern)
            .field("next", next)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ListingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ListingCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self).map_err(|_| Error::new(ErrorKind::Config, "this is no cursor of a listing"))
    }
}
