//! Whose a request is, and in which queues it may stand.
//!
//! A named tenant owns a queue. The others are more than there are queues, so each is dealt a
//! *hand* of [`Hand::SIZE`] of them and joins the shortest: **shuffle sharding**, as Kubernetes does
//! it for API priority and fairness (KEP-1040) and Amazon for its name servers. A tenant whose
//! neighbour floods is hurt only if the flood holds every queue of its hand. With 1,024 queues and
//! hands of 4, one flood covers another tenant's hand with a probability of 2 × 10⁻¹¹; 4 floods
//! with 4 × 10⁻⁸, 16 with 1 × 10⁻⁵, 64 with 2 × 10⁻³. Single queues would give 10⁻³, 4 × 10⁻³,
//! 2 % and 6 %.
//!
//! Each queue of a hand has a quarter of a share, so that a tenant with a hand gets no more than a
//! named one.

use super::{TenantKey, flow::Share};
use watertight_base::Weight;

/// Whose a request is, for fairness.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// A tenant with a queue of its own.
    Named(TenantKey),
    /// One that shares queues with others.
    Hand([TenantKey; Hand::SIZE]),
}

impl Owner {
    /// What one of its queues gets, when the tenant has `weight`.
    pub(super) fn share(&self, weight: Weight) -> Share {
        match self {
            Self::Named(_) => Share::of_all(weight),
            Self::Hand(_) => Share::of_hand(weight),
        }
    }
}

/// The queues of one tenant, by their numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hand(pub [usize; Hand::SIZE]);

impl Hand {
    /// Queues in a hand.
    pub const SIZE: usize = 4;

    /// The hand that a tenant is dealt out of `queues`, by a hash of its name that nobody outside
    /// can guess. All hands of different queues are as likely; where there are fewer queues than a
    /// hand takes, some come twice.
    pub fn deal(hash: u64, queues: usize) -> Self {
        let mut hand = [0; Self::SIZE];
        let mut rest = hash;
        for dealt in 0..Self::SIZE {
            let left = (queues.saturating_sub(dealt)).max(1) as u64;
            let mut card = usize::try_from(rest % left).unwrap_or(0);
            rest /= left;
            // The number among the queues that were not dealt yet: step over those that were.
            let mut before = hand;
            let before = &mut before[..dealt];
            before.sort_unstable();
            for &mut taken in before {
                card += usize::from(card >= taken && queues > dealt);
            }
            hand[dealt] = card;
        }
        Self(hand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    fn hash(n: u64) -> u64 {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    #[test]
    fn a_hand_holds_different_queues_and_all_are_dealt_as_often() {
        let mut counts = [0_u32; 16];
        for n in 0..40_000 {
            let Hand(mut hand) = Hand::deal(hash(n), 16);
            hand.iter().for_each(|&queue| counts[queue] += 1);
            hand.sort_unstable();
            assert!(hand.windows(2).all(|pair| pair[0] < pair[1]), "{hand:?}");
        }
        assert!(
            counts.iter().all(|count| (9_500..=10_500).contains(count)),
            "{counts:?}"
        );
        assert_eq!(Hand::deal(hash(1), 1), Hand([0; 4]));
        assert!(Hand::deal(hash(5), 2).0.iter().all(|&queue| queue < 2));
    }

    /// The documented probabilities, where they are large enough to be counted.
    #[test]
    fn floods_cover_a_hand_as_seldom_as_documented() {
        let covered = |floods: u64, hand: usize| {
            let rounds = 10_000_u64;
            let hit = (0..rounds).filter(|round| {
                let first = round * (floods + 1);
                let held: Vec<_> = (1..=floods)
                    .flat_map(|flood| Hand::deal(hash(first + flood), 1024).0[..hand].to_vec())
                    .collect();
                let mine = Hand::deal(hash(first), 1024).0;
                mine[..hand].iter().all(|queue| held.contains(queue))
            });
            hit.count() as f64 / rounds as f64
        };
        assert!(
            (0.000_5..0.006).contains(&covered(64, 4)),
            "{}",
            covered(64, 4)
        );
        assert!(covered(16, 4) < 0.000_3);
        assert!(covered(64, 1) > 0.05, "one queue each is the planted fault");
    }
}
