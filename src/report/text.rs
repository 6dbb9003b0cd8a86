//! Text from outside, made harmless and made to fit.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Which characters the reader's terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// All of them.
    #[default]
    Unicode,
    /// Only ASCII.
    Ascii,
}

/// Makes a text from outside safe to show on one line: breaks and tabs become blanks, and whatever could move a cursor,
/// colour a terminal, turn the direction of writing or hide is shown as its number.
pub fn harmless(text: &str, charset: Charset) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            c if c.is_control() || is_invisible(c) || (charset == Charset::Ascii && !c.is_ascii()) => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Characters that change how others look without showing: zero-width ones, and marks of writing direction.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// How many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Breaks a text into lines of at most `width` columns, at blanks where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let limit = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in unbroken(text) {
        let mut rest = word.as_str();
        loop {
            let gap = usize::from(used > 0);
            if used + gap + rest.width() <= limit {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(rest);
                used += gap + rest.width();
                break;
            }
            if used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
                continue;
            }
            let cut = head_within(rest, limit);
            lines.push(rest[..cut].to_owned());
            rest = &rest[cut..];
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// The words of a text; a flow (`a -> b:80/tcp`) and a number with its unit (`36 ms`) are one.
fn unbroken(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut joins_next = false;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let unit = matches!(word.trim_end_matches([',', ';', '.', ':', ')']), "ms" | "s" | "min" | "h");
        match words.last_mut() {
            Some(last) if joins_next || word == "->" || (unit && last.ends_with(|c: char| c.is_ascii_digit())) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        joins_next = word == "->";
    }
    words
}

/// Puts items beside each other with `gap` between them, as many as fit into `width`; an item too long for a line is
/// wrapped.
pub fn pack(items: &[String], gap: &str, limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.width() + gap.width() + item.width() <= limit => {
                line.push_str(gap);
                line.push_str(item);
            }
            _ => lines.extend(if item.width() <= limit { vec![item.clone()] } else { wrap(item, limit) }),
        }
    }
    lines
}

/// The length in bytes of the longest beginning within `limit` columns; at least one character, or nothing would move.
fn head_within(text: &str, limit: usize) -> usize {
    let mut used = 0;
    for (place, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > limit && place > 0 {
            return place;
        }
    }
    text.len()
}

/// Shortens a name to `limit` columns, keeping both ends, which is where names differ.
pub fn shorten(name: &str, limit: usize, charset: Charset) -> String {
    if name.width() <= limit {
        return name.to_owned();
    }
    let gap = match charset {
        Charset::Unicode => "…",
        Charset::Ascii => "~",
    };
    let room = limit.saturating_sub(1);
    let tail = room / 2;
    let head = &name[..head_within(name, (room - tail).max(1))];
    let mut kept = 0;
    let mut start = name.len();
    for (place, c) in name.char_indices().rev() {
        kept += c.width().unwrap_or(0);
        if kept > tail {
            break;
        }
        start = place;
    }
    format!("{head}{gap}{}", &name[start..])
}

/// `1 leak`, `2 leaks`, `9,900 cells`.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A number with its thousands set apart: `9,900`.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_moves_the_cursor_or_hides() {
        let table = [
            ("plain-name", "plain-name", "an ordinary name stays as it is"),
            ("\u{1b}[31mred", "\\u{1b}[31mred", "an escape sequence is shown, not obeyed"),
            ("a\r\nb\tc", "a  b c", "breaks and tabs are blanks"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb", "the one-character form of an escape too"),
            ("a\u{202e}b", "a\\u{202e}b", "writing direction is not turned"),
            ("a\u{200b}b", "a\\u{200b}b", "nothing of no width hides in a name"),
            ("café", "café", "letters of other languages are letters"),
        ];
        for (text, expected, why) in table {
            assert_eq!(harmless(text, Charset::Unicode), expected, "{why}");
        }
        assert_eq!(harmless("café", Charset::Ascii), "caf\\u{e9}", "ASCII means ASCII");
    }

    #[test]
    fn wrapping_keeps_every_word_and_no_line_too_long() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"], "at blanks");
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"], "a word too long is cut");
        assert_eq!(wrap("", 10), [""], "nothing is one empty line");
        assert_eq!(wrap("日本語", 4), ["日本", "語"], "wide characters count twice");
        assert_eq!(
            wrap("from a -> b:1/tcp, in 36 ms,", 14),
            ["from", "a -> b:1/tcp,", "in 36 ms,"],
            "flows and times hold"
        );
        assert_eq!(wrap("日本", 1), ["日", "本"], "even where not one fits, it ends");
    }

    #[test]
    fn shortening_keeps_both_ends() {
        assert_eq!(shorten("data-store", 10, Charset::Unicode), "data-store", "what fits stays");
        assert_eq!(shorten("data-store-primary", 9, Charset::Unicode), "data…mary", "both ends are kept");
        assert_eq!(shorten("data-store-primary", 9, Charset::Ascii), "data~mary", "in ASCII too");
    }

    #[test]
    fn counts_are_worded_right() {
        assert_eq!(plural(1, "leak", "leaks"), "1 leak");
        assert_eq!(plural(0, "leak", "leaks"), "0 leaks");
        assert_eq!(plural(9_900, "cell", "cells"), "9,900 cells");
        assert_eq!(number(1_000_000), "1,000,000");
        assert_eq!(number(999), "999");
    }
}
