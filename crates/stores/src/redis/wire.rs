//! A batch as arguments of the script, and the script's numbers as an answer.

use std::time::Duration;

use redis::{Cmd, Value};
use watertight_guard::throttle::lease::{Answer, Batch, Failure, Grant, Want};

/// The call of the script, by its hash or its text.
pub(super) fn command(name: &str, script: &str, prefix: &str, batch: &Batch) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(batch.wants.len() + 2);
    command
        .arg(format!("{prefix}:nodes"))
        .arg(format!("{prefix}:batches"));
    for Want { name, terms, .. } in &batch.wants {
        command.arg(format!("{prefix}:{}:{name}", terms.kind.letter()));
    }
    command.arg(batch.node).arg(batch.number);
    for span in [batch.hold, batch.lease, Batch::NODE_LIFE] {
        command.arg(micros(span));
    }
    for want in &batch.wants {
        let terms = &want.terms;
        command.arg(terms.kind.letter().to_string());
        let numbers = [
            terms.capacity,
            terms.unit,
            terms.gain,
            terms.span_us,
            u64::from(want.is_exact),
            want.need,
            want.each,
            want.extra,
            want.have,
            want.back,
            want.spent,
            want.undo.units,
            want.undo.at_us,
            want.undo.mark,
        ];
        for number in numbers {
            command.arg(number.min(EXACT));
        }
    }
    for claim in &batch.claims {
        command.arg(claim.parts.len());
        for part in &claim.parts {
            command.arg(part.want + 1).arg(part.units.min(EXACT));
            command.arg(u8::from(part.binds));
        }
    }
    command
}

/// The answer to a batch; whatever else the server says is refused.
pub(super) fn answer(value: &Value, batch: &Batch) -> Result<Answer, Failure> {
    let strange = |what: &str| {
        Failure(format!(
            "the store answered {what}; does somebody else use its keys?"
        ))
    };
    let Value::Array(values) = value else {
        return Err(strange("no list"));
    };
    let number = |value: &Value| match value {
        Value::Int(number) => u64::try_from(*number)
            .ok()
            .filter(|number| *number <= EXACT),
        _ => None,
    };
    let numbers: Option<Vec<u64>> = values.iter().map(number).collect();
    let numbers = numbers.ok_or_else(|| strange("what are no numbers"))?;
    let (of_wants, of_claims) = (
        NUMBERS * batch.wants.len(),
        batch
            .claims
            .iter()
            .map(|claim| claim.parts.len())
            .sum::<usize>(),
    );
    let (nodes, at_us, rest) = match numbers.as_slice() {
        [0] => return Err(Failure("a later batch of this node came before".to_owned())),
        [1, nodes, at_us, rest @ ..] if rest.len() == of_wants + of_claims => {
            (*nodes, *at_us, rest)
        }
        _ => return Err(strange("another question")),
    };
    let (grants, mut waits) = rest.split_at(of_wants);
    let claims = batch.claims.iter().map(|claim| {
        let (own, others) = waits.split_at(claim.parts.len());
        waits = others;
        own.iter().copied().map(Duration::from_micros).collect()
    });
    let claims = claims.collect();
    let grants = grants.chunks_exact(NUMBERS).map(|grant| Grant {
        units: grant[0],
        left: grant[1],
        wait: Duration::from_micros(grant[2]),
        reset: Duration::from_micros(grant[3]),
        lease: Duration::from_micros(grant[4]),
        mark: grant[5],
    });
    Ok(Answer {
        number: batch.number,
        nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
        at_us,
        grants: grants.collect(),
        claims,
    })
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros())
        .unwrap_or(u64::MAX)
        .min(EXACT)
}

/// What the script says of each want.
const NUMBERS: usize = 6;
/// The largest number that is exact in a double, and so in the script.
const EXACT: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use watertight_guard::throttle::lease::{Claim, Part};

    use super::*;

    #[test]
    fn garbage_is_refused() {
        let batch = Batch {
            node: 1,
            number: 1,
            hold: Duration::ZERO,
            lease: Duration::ZERO,
            wants: Vec::new(),
            claims: Vec::new(),
        };
        let list = |numbers: &[i64]| {
            Value::Array(numbers.iter().map(|number| Value::Int(*number)).collect())
        };
        assert_eq!(answer(&list(&[1, 3, 7]), &batch).unwrap().nodes, 3);
        let claims = vec![Claim {
            parts: vec![
                Part {
                    want: 0,
                    units: 1,
                    binds: true,
                };
                2
            ],
        }];
        let of_claims = Batch {
            claims,
            ..batch.clone()
        };
        let waits = answer(&list(&[1, 3, 7, 0, 5]), &of_claims).unwrap().claims;
        assert_eq!(waits, [[Duration::ZERO, Duration::from_micros(5)]]);
        assert!(answer(&list(&[1, 3, 7, 0]), &of_claims).is_err());
        let garbage = [
            Value::Nil,
            Value::Okay,
            list(&[]),
            list(&[0]),
            list(&[2, 1, 1]),
            list(&[1, -1, 1]),
            list(&[1, 1]),
            list(&[1, 1, 1, 5]),
            list(&[1, i64::MAX, 1]),
            Value::Array(vec![Value::Int(1), Value::SimpleString("1".to_owned())]),
        ];
        for value in garbage {
            assert!(answer(&value, &batch).is_err(), "{value:?}");
        }
    }
}
