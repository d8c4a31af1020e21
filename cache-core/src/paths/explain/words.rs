//! An explanation, for people.

use std::fmt;

use super::{EntryExplanation, Explanation, NameExplanation, NameKind};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if let Some(physical_key) = &self.physical_key {
            write!(f, "  (stored under {physical_key})")?;
        }
        match &self.entry {
            Some(entry) => write!(f, "\n  {entry}")?,
            None if self.is_foreign => f.write_str("\n  something is stored that is no entry: a miss")?,
            None => f.write_str("\n  nothing is stored")?,
        }
        for name in &self.names {
            write!(f, "\n  {name}")?;
        }
        // The key's own name is none of the entry's.
        let left_out = self.entry_names.saturating_sub(self.names.len().saturating_sub(1) as u64);
        if left_out > 0 {
            write!(f, "\n  and {left_out} names more")?;
        }
        if self.dependents > 0 {
            write!(f, "\n  {} depend on it:", self.dependents)?;
            for dependent in &self.first_dependents {
                write!(f, " {}{}", dependent.key, if dependent.is_stored { "" } else { " (gone)" })?;
            }
        }
        if self.unanswered_partitions > 0 {
            write!(f, "\n  {} partitions did not answer: more may depend on it", self.unanswered_partitions)?;
        }
        if let Some(lease) = &self.lease {
            let overtaken = if lease.is_overtaken { ", overtaken: its value will not be stored" } else { "" };
            let (held, remaining, takeovers) = (lease.held_ms, lease.remaining_ms, lease.takeovers);
            write!(f, "\n  leased {held} ms ago, for {remaining} ms yet, taken over {takeovers} times{overtaken}")?;
        }
        if self.is_loading_here {
            f.write_str("\n  this process loads it")?;
        }
        if let Some(learned) = &self.adaptive_ttl {
            write!(f, "\n  adaptive TTL {} ms, loaded {} ms ago", learned.ttl_ms, learned.loaded_ago_ms)?;
        }
        if let Some(unreadable) = &self.unreadable {
            write!(f, "\n  {} ms ago stored bytes were not served: {}", unreadable.ago_ms, unreadable.reason)?;
        }
        if let Some(unstored) = &self.unstored {
            write!(f, "\n  {} ms ago a value was not stored: {}", unstored.ago_ms, unstored.reason)?;
            if let Some(way_out) = &unstored.way_out {
                write!(f, "; {way_out}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for EntryExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_negative { "no value" } else { "a value" };
        let by_text = if self.is_by_text { ", by text" } else { "" };
        let compressed = self.compression.as_ref().map_or_else(String::new, |way| format!(", {way}"));
        let sealed = if self.is_sealed { ", sealed" } else { "" };
        write!(f, "{kind} of {} bytes ({}{compressed}{sealed}, ", self.payload_bytes, self.codec)?;
        write!(f, "type {}{by_text}), ", self.fingerprint)?;
        write!(f, "{} ms old, fresh for {} ms, kept for {} ms, ", self.age_ms, self.fresh_for_ms, self.kept_for_ms)?;
        write!(f, "loaded in {} µs", self.load_us)
    }
}

impl fmt::Display for NameExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NameKind::Key => "key",
            NameKind::Tag => "tag",
        };
        write!(f, "{kind} {}", self.text)?;
        if let (Some(fence), Some(ago)) = (self.fence, self.fence_ago_ms) {
            write!(f, ", invalidated {ago} ms ago ({fence})")?;
        }
        if self.closed_by > 0 {
            write!(f, ", closed by {}", self.closed_by)?;
        }
        Ok(())
    }
}
