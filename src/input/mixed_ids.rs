//! Finds an input of which some candidates have identifiers, and others do not.

use crate::record::Group;

/// Which kinds of candidates there were so far.
#[derive(Debug, Default)]
pub struct MixedIds {
    has_own: bool,
    has_generated: bool,
}

impl MixedIds {
    /// Looks at the candidates of a query. Returns a note when both kinds are known for the first time: a result without an
    /// identifier is hard to find again, and most likely its column is empty by mistake.
    pub fn look_at(&mut self, group: &Group) -> Option<String> {
        if self.has_own && self.has_generated {
            return None;
        }
        let generated = group.candidates.iter().find(|candidate| candidate.has_generated_id);
        self.has_own |= group.candidates.iter().any(|candidate| !candidate.has_generated_id);
        self.has_generated |= generated.is_some();
        (self.has_own && self.has_generated).then(|| match generated {
            Some(candidate) => format!(
                "candidate {} of query {:?} has no id, and others have one: wherever that is so, the position among the query's \
                 candidates stands for it",
                candidate.id, group.query.id
            ),
            None => format!(
                "the candidates of query {:?} have ids, and some before them have none: wherever that is so, the position among \
                 the query's candidates stands for it",
                group.query.id
            ),
        })
    }
}
