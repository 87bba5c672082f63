//! How evenly something was handed out.

/// Jain's index of `shares`: 1 when all are equal, 1/n when one has everything
/// (Jain, Chiu, Hawe, DEC-TR-301, 1984). Nothing handed out counts as even.
pub fn jain(shares: impl IntoIterator<Item = f64>) -> f64 {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for share in shares {
        count += 1.0;
        sum += share;
        squares += share * share;
    }
    if squares == 0.0 {
        1.0
    } else {
        sum * sum / (count * squares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_is_one_and_all_for_one_is_a_share() {
        assert_eq!(jain([2.0, 2.0, 2.0]), 1.0);
        assert_eq!(jain([1.0, 0.0, 0.0, 0.0]), 0.25);
        assert_eq!(jain([]), 1.0);
    }
}
