//! The canonical form, as Calico prints it: parentheses around every `&&` and `||`, sets sorted, double quotes. It parses to
//! an equal tree, but for `!(!(a))`, which Calico prints as `!!a` and reads as `a`.

use std::fmt;

use super::{NodeKind, Selector};

/// What is left to print.
enum Task {
    Text(&'static str),
    /// A node, by its place.
    Node(usize),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.subtree_sizes();
        let mut tasks: Vec<Task> = self.nodes.len().checked_sub(1).map(Task::Node).into_iter().collect();
        while let Some(task) = tasks.pop() {
            let place = match task {
                Task::Text(text) => {
                    f.write_str(text)?;
                    continue;
                }
                Task::Node(place) => place,
            };
            let Some(node) = self.nodes.get(place) else { continue };
            match &node.kind {
                NodeKind::All => f.write_str("all()")?,
                NodeKind::Global => f.write_str("global()")?,
                NodeKind::Has(label) => write!(f, "has({label})")?,
                NodeKind::Compare { label, operator, value } => {
                    write!(f, "{label} {} ", operator.text())?;
                    quoted(f, value)?;
                }
                NodeKind::Set { label, negated, values } => {
                    write!(f, "{label} {} {{", if *negated { "not in" } else { "in" })?;
                    for (index, value) in values.iter().enumerate() {
                        f.write_str(if index > 0 { ", " } else { "" })?;
                        quoted(f, value)?;
                    }
                    f.write_str("}")?;
                }
                NodeKind::Not => {
                    f.write_str("!")?;
                    tasks.extend(place.checked_sub(1).map(Task::Node));
                }
                NodeKind::And(count) => group(&mut tasks, " && ", place, *count, &sizes),
                NodeKind::Or(count) => group(&mut tasks, " || ", place, *count, &sizes),
            }
        }
        Ok(())
    }
}

/// Puts a group's parts on the stack, the first one on top.
fn group(tasks: &mut Vec<Task>, sign: &'static str, place: usize, count: usize, sizes: &[usize]) {
    tasks.push(Task::Text(")"));
    let mut end = place;
    for index in 0..count {
        if index > 0 {
            tasks.push(Task::Text(sign));
        }
        let Some(last) = end.checked_sub(1) else { break };
        tasks.push(Task::Node(last));
        end -= sizes.get(last).copied().unwrap_or(1).min(end);
    }
    tasks.push(Task::Text("("));
}

/// A value has one sort of quote at most: the language has no escapes.
fn quoted(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    let quote = if value.contains('"') { '\'' } else { '"' };
    write!(f, "{quote}{value}{quote}")
}

impl Selector {
    /// How many nodes the tree below each node has, itself included.
    fn subtree_sizes(&self) -> Vec<usize> {
        let mut sizes = Vec::with_capacity(self.nodes.len());
        let mut complete: Vec<usize> = Vec::new();
        for node in &self.nodes {
            let operands = match node.kind {
                NodeKind::Not => 1,
                NodeKind::And(count) | NodeKind::Or(count) => count,
                NodeKind::All
                | NodeKind::Global
                | NodeKind::Has(_)
                | NodeKind::Compare { .. }
                | NodeKind::Set { .. } => 0,
            };
            let below = complete.split_off(complete.len().saturating_sub(operands));
            let size = 1 + below.iter().sum::<usize>();
            complete.push(size);
            sizes.push(size);
        }
        sizes
    }
}
