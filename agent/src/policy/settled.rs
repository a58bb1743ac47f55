//! Whether a judgement holds for more than the attempt it was made for.
//!
//! The kernel caches a verdict under part of an attempt: the file of an exec,
//! the destination of a connect. This module decides whether the rest (the
//! arguments, the connecting program, other paths of the same file) could change
//! it. It errs to one side only: a wrong *no* costs a question to the daemon, a
//! wrong *yes* would be a way around the policy.

use super::{Attempt, Policy, Rule, Verdict, matcher::Reach};

/// Whether `policy` gives the same allow or deny whatever the uncached part of
/// `attempt` is.
pub(super) fn settled(policy: &Policy, attempt: &Attempt<'_>) -> bool {
    let reach = |rule: &Rule| policy.reach(rule, attempt);
    let always = policy
        .rules
        .iter()
        .filter(|rule| reach(rule) == Reach::Always)
        .map(Rule::effect)
        .max();
    let outcome = always.unwrap_or(policy.fallback(attempt));
    let mut sometimes = policy
        .rules
        .iter()
        .filter(|rule| reach(rule) == Reach::Sometimes)
        .map(Rule::effect);
    outcome.0 != Verdict::Hold
        && sometimes.all(|effect| match always {
            // A rule that always matches is only overruled by a stricter one.
            Some(always) => effect <= always,
            // The default is overruled by any rule.
            None => effect == outcome,
        })
}
