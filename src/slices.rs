//! Parts of slices, by lengths that come from files: one that is too large ends the part, and not the program.

/// The first of the values, at most so many.
pub fn first<T>(values: &[T], most: usize) -> &[T] {
    values.get(..most).unwrap_or(values)
}

/// The values from this place on; none, if there are fewer.
pub fn behind<T>(values: &[T], start: usize) -> &[T] {
    values.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_the_values_end() {
        assert_eq!((first(&[1, 2], 1), first(&[1, 2], 3)), (&[1][..], &[1, 2][..]));
        assert_eq!((behind(&[1, 2], 1), behind(&[1, 2], 3)), (&[2][..], &[][..]));
    }
}
