//! Where the two routing modes part ways on a configuration, with a witness for each: what a migration
//! from LiteLLM has to look at.

use serde_json::{Value, json};

use super::{Reader, plural};
use crate::{Answer, Difference, ModeDifferences};

/// More names than this are for machines.
const SHOWN: usize = 10;

const CUT_SHORT: &str = "  there are too many names and tags to try them all\n";

/// For each name the simplest request that shows a difference, up to a screenful.
pub(super) fn text(found: &ModeDifferences, reader: Reader) -> String {
    if found.differences.is_empty() {
        let alike = "routing modes tagrail and litellm answer all tried requests alike\n".to_owned();
        return if found.cut_short { alike + CUT_SHORT } else { alike };
    }
    let mut text = "routing modes tagrail and litellm answer differently, for example:\n".to_owned();
    let names: Vec<&[Difference]> = found.differences.chunk_by(|a, b| a.model == b.model).collect();
    let rows: Vec<[String; 4]> = names.iter().take(SHOWN).filter_map(|tried| row(tried)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (request, tagrail) = (width(0), width(1));
    for [a, b, c, d] in &rows {
        text.push_str(&format!("  {a:<request$}  tagrail: {b:<tagrail$}  litellm: {c}{d}\n"));
    }
    if names.len() > SHOWN {
        let whole = match reader {
            Reader::Terminal { .. } => "--json has",
            Reader::Program => "the witnesses have",
        };
        text.push_str(&format!("  and {} more; {whole} them all\n", plural(names.len() - SHOWN, "name")));
    }
    if found.cut_short {
        text.push_str(CUT_SHORT);
    }
    text
}

/// Requests for one name, the simplest first.
fn row(tried: &[Difference]) -> Option<[String; 4]> {
    let (first, more) = tried.split_first()?;
    let request = match first.tags.join(", ") {
        tags if tags.is_empty() => format!("{} without tags", first.model),
        tags => format!("{} with {tags}", first.model),
    };
    let more = match more.len() {
        0 => String::new(),
        1 => "; another set of tags, too".to_owned(),
        more => format!("; {more} other sets of tags, too"),
    };
    Some([request, first.tagrail.to_string(), first.litellm.to_string(), more])
}

/// All of them.
pub(super) fn json(found: &ModeDifferences) -> Value {
    let witnesses: Vec<Value> = found
        .differences
        .iter()
        .map(|difference| {
            json!({
                "model": difference.model,
                "tags": difference.tags,
                "tagrail": answer(&difference.tagrail),
                "litellm": answer(&difference.litellm),
            })
        })
        .collect();
    json!({"witnesses": witnesses, "cut_short": found.cut_short})
}

fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::Served(served) => {
            let served: Vec<Value> =
                served.iter().map(|(id, model)| json!({"id": id, "upstream_model": model})).collect();
            json!({"served_by": served})
        }
        Answer::Refused(status, reason) => json!({"status": status, "reason": reason}),
    }
}
