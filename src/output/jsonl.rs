//! Ranked JSONL: one object for each query, its candidates best first.

use anyhow::Result;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use crate::fusion;
use crate::record::{Candidate, Fields, Ranked, Ranking};

/// Names of the fields that the program writes itself; a carried field with such a name is dropped.
const QUERY_NAMES: [&str; 4] = ["query_id", "query", "instruction", "results"];
const RESULT_NAMES: [&str; 10] =
    ["rank", "id", "score", "logit", fusion::FIELD, "original_rank", "original_score", "truncated", "title", "text"];

/// Appends a ranking as one line.
pub(super) fn format(ranking: &Ranking, text: bool, buffer: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(&mut *buffer, &Line { ranking, text })?;
    buffer.push(b'\n');
    Ok(())
}

struct Line<'a> {
    ranking: &'a Ranking,
    text: bool,
}

struct Results<'a>(&'a Line<'a>);

struct Entry<'a> {
    rank: usize,
    result: &'a Ranked,
    text: bool,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let query = &self.ranking.query;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("query_id", &query.id)?;
        map.serialize_entry("query", &query.text)?;
        if let Some(instruction) = &query.instruction {
            map.serialize_entry("instruction", instruction)?;
        }
        carry(&mut map, &query.fields, &QUERY_NAMES)?;
        map.serialize_entry("results", &Results(self))?;
        map.end()
    }
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Line { ranking, text }) = self;
        let mut list = serializer.serialize_seq(Some(ranking.results.len()))?;
        for (index, result) in ranking.results.iter().enumerate() {
            list.serialize_element(&Entry { rank: index + 1, result, text: *text })?;
        }
        list.end()
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Ranked { candidate, logit, score, truncated, fused } = self.result;
        let Candidate { id, text, title, original_rank, original_score, fields, has_generated_id: _ } = candidate;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rank", &self.rank)?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("score", score)?;
        map.serialize_entry("logit", logit)?;
        if let Some(fused) = fused {
            map.serialize_entry(fusion::FIELD, fused)?;
        }
        map.serialize_entry("original_rank", original_rank)?;
        if let Some(score) = original_score {
            map.serialize_entry("original_score", score)?;
        }
        if *truncated {
            map.serialize_entry("truncated", truncated)?;
        }
        if let Some(title) = title {
            map.serialize_entry("title", title)?;
        }
        if self.text {
            map.serialize_entry("text", text)?;
        }
        carry(&mut map, fields, &RESULT_NAMES)?;
        map.end()
    }
}

fn carry<M: SerializeMap>(map: &mut M, fields: &Fields, taken: &[&str]) -> Result<(), M::Error> {
    for (name, value) in fields.iter().filter(|(name, _)| !taken.contains(&name.as_str())) {
        map.serialize_entry(name, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::examples::{ranking, raw};
    use super::*;

    fn line(ranking: &Ranking, text: bool) -> String {
        let mut buffer = Vec::new();
        format(ranking, text, &mut buffer).unwrap();
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn fields_are_carried_to_the_byte() {
        let text = line(&ranking(&[1.5, -0.25]), false);
        assert_eq!(
            text,
            concat!(
                r#"{"query_id":"q1","query":"what?","results":["#,
                r#"{"rank":1,"id":"d0","score":0.8175745,"logit":1.5,"original_rank":1,"original_score":12.5,"#,
                r#""title":"Title","url":"http://0","n":1.10},"#,
                r#"{"rank":2,"id":"d1","score":0.4378235,"logit":-0.25,"original_rank":2,"truncated":true,"#,
                r#""url":"http://1","n":1.10}]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn our_names_win_over_carried_ones_and_a_line_stays_one() {
        let mut ranking = ranking(&[2.]);
        ranking.results[0].candidate.fields.push(("logit".into(), raw("77")));
        ranking.query.fields.push(("topic".into(), raw("[1]")));
        let text = line(&ranking, true);
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["results"][0]["logit"], 2.0);
        assert_eq!(value["results"][0]["text"], "text \"0\",\nsecond line");
        assert_eq!(value["topic"][0], 1);
    }

    #[test]
    fn no_candidates_are_an_empty_ranking() {
        assert_eq!(line(&ranking(&[]), true), "{\"query_id\":\"q1\",\"query\":\"what?\",\"results\":[]}\n");
    }
}
