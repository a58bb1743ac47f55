//! What a statement may ask the engine to do. Pure.
//!
//! The engine bounds the memory of sorting, grouping and joining, and nothing
//! else: what makes much of little in one step is past every bound. So only what
//! is listed here is answered; what a newer engine brings is refused until
//! somebody has looked at it.

use datafusion::{
    common::{
        Column, DFSchemaRef,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    logical_expr::{Expr, LogicalPlan, Operator},
};

/// Most steps of a plan, with all those of the parts it names several times.
const STEPS_MAX: usize = 256;
/// Most times fresh records or files are read: the table is both.
const TABLES_MAX: usize = 16;
/// Most calls of functions: each makes a column of its own.
const CALLS_MAX: usize = 32;
/// Most parts of an expression, once the engine has put those below into it.
const PARTS_MAX: u64 = 10_000;

/// Functions whose answer is no longer than what they are given, about.
const FUNCTIONS: [&str; 45] = [
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "coalesce",
    "contains",
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "ends_with",
    "find_in_set",
    "from_unixtime",
    "greatest",
    "initcap",
    "least",
    "left",
    "lower",
    "ltrim",
    "make_date",
    "now",
    "nullif",
    "nvl",
    "nvl2",
    "octet_length",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "reverse",
    "right",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "to_date",
    "to_hex",
    "to_local_time",
    "to_timestamp",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "to_unixtime",
    "upper",
];

/// Those over many rows, that keep count of their memory.
const AGGREGATES: [&str; 19] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "avg",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "first_value",
    "last_value",
    "max",
    "median",
    "min",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
    "any_value",
];

/// Every function that is answered.
pub fn functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.into_iter().chain(AGGREGATES)
}

/// Looks at all of `plan`.
pub(super) fn examine(plan: &LogicalPlan) -> Result<()> {
    let mut bounds = Bounds::default();
    // Ends at the bound, however large the plan is.
    plan.apply_with_subqueries(|step| {
        bounds.step(step)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    plan.apply_with_subqueries(|step| {
        step.apply_subqueries(|subquery| {
            weights(subquery)?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    weights(plan).map(drop)
}

#[derive(Default)]
struct Bounds {
    steps: usize,
    tables: usize,
    calls: usize,
}

impl Bounds {
    fn step(&mut self, step: &LogicalPlan) -> Result<()> {
        bounded(&mut self.steps, STEPS_MAX, "steps")?;
        match step {
            LogicalPlan::TableScan(_) => bounded(&mut self.tables, TABLES_MAX, "tables")?,
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Distinct(_) => {}
            LogicalPlan::Window(_) => return Err(barred("OVER")),
            LogicalPlan::RecursiveQuery(_) => return Err(barred("RECURSIVE")),
            _ => return Err(barred("this kind of statement")),
        }
        step.apply_expressions(|expression| {
            expression.apply(|part| {
                self.part(part)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(())
    }

    fn part(&mut self, part: &Expr) -> Result<()> {
        match part {
            Expr::ScalarFunction(call) => {
                bounded(&mut self.calls, CALLS_MAX, "calls of functions")?;
                known(call.func.name(), &FUNCTIONS)
            }
            Expr::AggregateFunction(call) => {
                bounded(&mut self.calls, CALLS_MAX, "calls of functions")?;
                if call.func.name() == "approx_percentile_cont" && call.params.args.len() > 2 {
                    return Err(barred("approx_percentile_cont with a size"));
                }
                known(call.func.name(), &AGGREGATES)
            }
            Expr::BinaryExpr(binary) if binary.op == Operator::StringConcat => Err(barred("||")),
            Expr::WindowFunction(_) => Err(barred("OVER")),
            Expr::GroupingSet(_) => Err(barred("GROUPING SETS, CUBE or ROLLUP")),
            Expr::Unnest(_)
            | Expr::HigherOrderFunction(_)
            | Expr::Lambda(_)
            | Expr::LambdaVariable(_)
            | Expr::ScalarVariable(..)
            | Expr::Placeholder(_) => Err(barred("this kind of expression")),
            _ => Ok(()),
        }
    }
}

fn bounded(count: &mut usize, most: usize, what: &str) -> Result<()> {
    *count += 1;
    if *count > most {
        return Err(said(format!(
            "the statement comes to more than {most} {what}; ask in parts"
        )));
    }
    Ok(())
}

fn known(name: &str, listed: &[&str]) -> Result<()> {
    if listed.contains(&name) {
        return Ok(());
    }
    let listed = listed.join(" ");
    Err(said(format!(
        "the function {name} is not answered; those are: {listed}"
    )))
}

fn barred(what: &str) -> DataFusionError {
    said(format!("{what} is not answered"))
}

fn said(text: String) -> DataFusionError {
    DataFusionError::Plan(text)
}

/// Parts of each column of `plan`, once the engine has put the expressions below
/// into those above, which it may do to ask the files for less.
fn weights(plan: &LogicalPlan) -> Result<Vec<u64>> {
    let mut inputs = Vec::new();
    for input in plan.inputs() {
        inputs.push((input.schema(), weights(input)?));
    }
    let of = |expression: &Expr| weight(expression, &inputs);
    for expression in plan.expressions() {
        if of(&expression)? > PARTS_MAX {
            return Err(said(format!(
                "an expression comes to more than {PARTS_MAX} parts; name fewer columns of the \
                 SELECT below, or ask in parts"
            )));
        }
    }
    let columns = plan.schema().fields().len();
    let all: Vec<u64> = inputs
        .iter()
        .flat_map(|(_, weights)| weights.clone())
        .collect();
    let most = all.iter().copied().max().unwrap_or(1);
    match plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(of).collect(),
        LogicalPlan::Aggregate(aggregate) => {
            let mut weights = aggregate
                .group_expr
                .iter()
                .map(of)
                .collect::<Result<Vec<_>>>()?;
            weights.resize(columns, 1);
            Ok(weights)
        }
        _ if all.len() == columns => Ok(all),
        _ => Ok(vec![most; columns]),
    }
}

fn weight(expression: &Expr, inputs: &[(&DFSchemaRef, Vec<u64>)]) -> Result<u64> {
    let mut sum = 0_u64;
    expression.apply(|part| {
        sum = sum.saturating_add(match part {
            Expr::Column(column) => column_weight(column, inputs),
            _ => 1,
        });
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sum)
}

fn column_weight(column: &Column, inputs: &[(&DFSchemaRef, Vec<u64>)]) -> u64 {
    let found = inputs.iter().find_map(|(schema, weights)| {
        let at = schema.maybe_index_of_column(column)?;
        weights.get(at).copied()
    });
    found.unwrap_or(1)
}
