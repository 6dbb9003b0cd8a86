use crate::Body;

pub fn trials() -> Vec<(&'static str, Body)> {
    vec![]
}
