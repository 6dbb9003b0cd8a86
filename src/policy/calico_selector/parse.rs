//! From text to tree. What a recursive parser would keep on the call stack is kept in a vector, so no text overflows it.

use super::error::{Problem, SelectorError};
use super::scan::{Operator, Scanner};
use super::{MAX_TEXT, Node, NodeKind, Selector};

/// A group that is being read: the whole text, or what a `(` opened.
#[derive(Default)]
struct Group {
    /// Where the `!` or the `(` before it stands, and where its first term begins.
    start: u32,
    first: u32,
    /// Where the first operand of the `&&` in progress begins.
    conjunction: u32,
    /// Operands of the `&&` in progress.
    ands: u32,
    /// Operands of the `||` that are complete.
    ors: u32,
    negated: bool,
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    nodes: Vec<Node>,
    groups: Vec<Group>,
}

pub(super) fn parse(text: &str) -> Result<Selector, SelectorError> {
    if text.len() > MAX_TEXT {
        return Err(SelectorError { problem: Problem::TooLong, span: 0..text.len() });
    }
    let mut parser = Parser { scanner: Scanner::new(text), nodes: Vec::new(), groups: Vec::new() };
    if parser.scanner.peek().is_none() {
        return Ok(Selector { nodes: vec![Node { kind: NodeKind::All, span: 0..0 }] });
    }
    let whole = parser.group(parser.scanner.at(), false);
    parser.groups.push(whole);
    loop {
        parser.term()?;
        if parser.after_term()? {
            return Ok(Selector { nodes: parser.nodes });
        }
    }
}

impl Parser<'_> {
    fn group(&mut self, start: usize, negated: bool) -> Group {
        self.scanner.peek();
        let first = offset(self.scanner.at());
        Group { start: offset(start), first, conjunction: first, negated, ..Group::default() }
    }

    /// Reads on to the end of one atom, through every `!` and `(` before it.
    fn term(&mut self) -> Result<(), SelectorError> {
        loop {
            self.scanner.peek();
            let start = self.scanner.at();
            let mut negated = false;
            while self.scanner.peek() == Some(b'!') && !self.scanner.rest().starts_with("!=") {
                self.scanner.take("!");
                negated = !negated;
            }
            if self.scanner.peek() == Some(b'(') {
                let opened = self.scanner.at();
                self.scanner.take("(");
                let group = self.group(if negated { start } else { opened }, negated);
                self.groups.push(group);
                continue;
            }
            let at = self.scanner.at();
            let kind = self.atom()?;
            self.nodes.push(Node { kind, span: at..self.scanner.at() });
            self.end_of_operand(start, negated);
            return Ok(());
        }
    }

    fn atom(&mut self) -> Result<NodeKind, SelectorError> {
        let start = self.scanner.at();
        if self.scanner.take("has(") {
            self.scanner.peek();
            let Some(label) = self.scanner.label()?.map(ToOwned::to_owned) else {
                return Err(self.scanner.wrong_here(|_| Problem::NoLabel));
            };
            return self.close("has", start).map(|()| NodeKind::Has(label));
        }
        if self.scanner.take("all(") {
            return self.close("all", start).map(|()| NodeKind::All);
        }
        if self.scanner.take("global(") {
            return self.close("global", start).map(|()| NodeKind::Global);
        }
        let Some(label) = self.scanner.label()?.map(ToOwned::to_owned) else {
            return Err(self.scanner.wrong_here(Problem::NoTerm));
        };
        match self.scanner.operator(start..self.scanner.at())? {
            Operator::Compare(operator) => {
                let Some(value) = self.scanner.value()?.map(ToOwned::to_owned) else {
                    let operator = operator.text();
                    return Err(self.scanner.wrong_here(|found| {
                        let word = found.filter(|word| word.starts_with(|c: char| c.is_ascii_alphanumeric()));
                        Problem::NoValue { operator, found: word }
                    }));
                };
                Ok(NodeKind::Compare { label, operator, value })
            }
            Operator::Set { negated } => Ok(NodeKind::Set { label, negated, values: self.set()? }),
        }
    }

    fn close(&mut self, word: &'static str, start: usize) -> Result<(), SelectorError> {
        self.scanner.peek();
        if self.scanner.take(")") {
            return Ok(());
        }
        self.scanner.foreign()?;
        Err(SelectorError { problem: Problem::OpenCall(word), span: start..start + word.len() + 1 })
    }

    /// `{`, values with commas between them, possibly one more comma, `}`.
    fn set(&mut self) -> Result<Vec<String>, SelectorError> {
        self.scanner.peek();
        let start = self.scanner.at();
        if !self.scanner.take("{") {
            return Err(self.scanner.wrong_here(|_| Problem::NoSet));
        }
        let mut values = Vec::new();
        while let Some(value) = self.scanner.value()? {
            values.push(value.to_owned());
            self.scanner.peek();
            if !self.scanner.take(",") {
                break;
            }
        }
        self.scanner.peek();
        if !self.scanner.take("}") {
            self.scanner.foreign()?;
            return Err(SelectorError { problem: Problem::OpenSet, span: start..self.scanner.at() });
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// Reads what follows a term, and closes every group that ends here. Whether the text is complete.
    fn after_term(&mut self) -> Result<bool, SelectorError> {
        loop {
            match self.scanner.peek() {
                Some(b'&') if self.scanner.take("&&") => return Ok(false),
                Some(b'|') if self.scanner.take("||") => {
                    self.end_of_conjunction();
                    self.scanner.peek();
                    let next = offset(self.scanner.at());
                    if let Some(group) = self.groups.last_mut() {
                        group.conjunction = next;
                    }
                    return Ok(false);
                }
                Some(b')') if self.groups.len() > 1 => {
                    let group = self.end_of_group();
                    self.scanner.take(")");
                    self.end_of_operand(group.start as usize, group.negated);
                }
                Some(b')') => return Err(self.scanner.wrong(Problem::StrayParenthesis, 1)),
                Some(_) => {
                    let wrong = |found: Option<String>| Problem::NoConnective(found.unwrap_or_default());
                    return Err(self.scanner.wrong_here(wrong));
                }
                None => {
                    let group = self.end_of_group();
                    if self.groups.is_empty() {
                        return Ok(true);
                    }
                    // The `(` of a negated group stands after its `!`.
                    let opened = self.opening(&group);
                    return Err(SelectorError { problem: Problem::OpenParenthesis, span: opened..opened + 1 });
                }
            }
        }
    }

    /// Where the `(` of a group stands: it is the last one before its first term.
    fn opening(&self, group: &Group) -> usize {
        let before = self.scanner.before(group.first as usize);
        before.rfind('(').unwrap_or(group.start as usize)
    }

    /// An operand is complete: an atom or a group, with the `!` before it.
    fn end_of_operand(&mut self, start: usize, negated: bool) {
        if negated {
            self.nodes.push(Node { kind: NodeKind::Not, span: start..self.scanner.at() });
        }
        if let Some(group) = self.groups.last_mut() {
            group.ands += 1;
        }
    }

    fn end_of_conjunction(&mut self) {
        let end = self.end_of_last();
        let Some(group) = self.groups.last_mut() else { return };
        if group.ands > 1 {
            let span = group.conjunction as usize..end;
            self.nodes.push(Node { kind: NodeKind::And(group.ands as usize), span });
        }
        group.ands = 0;
        group.ors += 1;
    }

    fn end_of_group(&mut self) -> Group {
        self.end_of_conjunction();
        let end = self.end_of_last();
        let group = self.groups.pop().unwrap_or_default();
        if group.ors > 1 {
            self.nodes.push(Node { kind: NodeKind::Or(group.ors as usize), span: group.first as usize..end });
        }
        group
    }

    /// Where the last operand ends, its closing parenthesis included.
    fn end_of_last(&self) -> usize {
        self.scanner.before(self.scanner.at()).trim_end_matches(['|', '&', ' ', '\t']).len()
    }
}

/// [`MAX_TEXT`] lies far below what fits.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
