use super::*;
use crate::evaluation::judged::Judgements;

fn measure(text: &str) -> Measure {
    Measure::parse(text).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

#[test]
fn names_are_written_as_ir_measures_and_trec_eval_write_them() {
    for (text, canonical, trec) in [
        ("nDCG@10", "nDCG@10", Some("ndcg_cut_10")),
        ("nDCG(dcg='exp-log2')@10", "nDCG(dcg='exp-log2')@10", None),
        (
            "nDCG(gains={1:3, 0:0},dcg=\"log2\",judged_only=True)",
            "nDCG(gains={0:0,1:3},judged_only=True)",
            Some("ndcg_0=0,1=3"),
        ),
        ("ndcg_1=3,2=9,4=4.5", "nDCG(gains={1:3,2:9,4:4.5})", Some("ndcg_1=3,2=9,4=4.5")),
        ("NDCG@20", "nDCG@20", Some("ndcg_cut_20")),
        ("ndcg@7", "nDCG@7", Some("ndcg_cut_7")),
        ("MAP", "AP", Some("map")),
        ("map_cut.5", "AP@5", Some("map_cut_5")),
        ("AP(rel=2)@100", "AP(rel=2)@100", Some("map_cut_100")),
        ("MRR@10", "RR@10", None),
        ("recip_rank(rel=2)", "RR(rel=2)", Some("recip_rank")),
        ("Precision@5", "P@5", Some("P_5")),
        ("recall_100", "R@100", Some("recall_100")),
        ("iprec_at_recall_0.10", "IPrec@0.1", Some("iprec_at_recall_0.10")),
        ("RBP", "RBP", Some("rbp_p=0.8")),
        ("rbp", "RBP(p=0.9)", Some("rbp")),
        ("RBP(rel=1)", "RBP(rel=1)", None),
        ("SetF(beta=0.5)", "SetF(beta=0.5)", Some("set_F_0.5")),
        ("NumRet", "NumRet", Some("num_ret")),
        ("num_rel_ret", "NumRelRet", Some("num_rel_ret")),
        ("ERR@20", "ERR@20", None),
        ("NERR8(max_rel=3)@10", "NERR8(max_rel=3)@10", None),
        ("Rprec_mult_0.20", "Rprec_mult@0.2", Some("Rprec_mult_0.20")),
        ("11pt_avg_.25,.5,.75", "11pt_avg(recalls=[.25,.5,.75])", Some("11pt_avg_.25,.5,.75")),
        ("utility_2,-1,0,0", "utility(weights=[2,-1,0,0])", Some("utility_2,-1,0,0")),
        ("gm_map(rel=2)", "gm_map(rel=2)", Some("gm_map")),
    ] {
        let measure = measure(text);
        assert_eq!((measure.to_string().as_str(), measure.trec_name().as_deref()), (canonical, trec), "{text}");
        assert_eq!(measure, self::measure(canonical));
    }
}

#[test]
fn names_are_found_in_any_case() {
    for (text, canonical) in [("mrr@10", "RR@10"), ("ndcg@5", "nDCG@5"), ("judged@3", "Judged@3")] {
        assert_eq!(measure(text).to_string(), canonical);
    }
}

#[test]
fn what_a_name_gets_wrong_is_named() {
    for (text, message) in [
        ("mrrr@10", "there is no measure \"mrrr\"; did you mean MRR"),
        ("nDGC@10", "did you mean nDCG"),
        ("Xyzzy", "the measures are nDCG, RR, AP"),
        ("alpha_nDCG@10", "judgements of subtopics"),
        ("P", "P needs a cutoff, for example P@10"),
        ("IPrec", "IPrec needs a value of recall"),
        ("NERR8@10", "NERR8 needs max_rel"),
        ("NERR8(max_rel=1,min_rel=1)@10", "max_rel of NERR8 should be above min_rel"),
        ("Bpref@10", "Bpref has nothing that could stand behind @"),
        ("nDCG(rel=2)", "nDCG has no parameter \"rel\"; its parameters are dcg, gains, judged_only, cutoff"),
        ("NumQ(rel=2)", "NumQ has no parameter \"rel\", and no others"),
        ("AP(rel=-1)", "rel=-1 cannot be used: it should be a grade, an integer from 0 on"),
        ("AP(rel=1,rel=2)", "rel is given twice for AP"),
        (
            "ndcg_10",
            "\"ndcg_10\" has no cutoff: behind ndcg stand the gains of grades, as in ndcg_1=3,2=9; did you mean ndcg_cut_10?",
        ),
        ("dcg_10", "did you mean DCG@10?"),
        ("ndcg_cut_10@5", "cutoff is given twice for nDCG"),
        ("AP(judged_only=1)", "it should be True or False"),
        ("nDCG(dcg='ln')", "it should be 'log2'"),
        ("nDCG(gains={1:3,1:4})", "grade 1 has two gains"),
        ("nDCG@0", "it should be a number of documents, 1 or more"),
        ("RBP(p=1.5)", "it should be at most 1"),
        ("RBP(p=NaN)", "\"NaN\" should be a number"),
        ("utility_1,-1,0,0.1", "the fourth weight should be 0"),
        ("utility_1,-1", "there should be four weights, and not 2"),
        ("P_5,10", "\"P_5,10\" needs one value, for example P@5"),
        ("rbp_1=0.5", "only the persistence can be given"),
    ] {
        let error = format!("{:#}", Measure::parse(text).expect_err(text));
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_list_has_trec_evals_lists_and_cutoffs_in_it() {
    let names = |text: &str| -> Vec<String> {
        Measure::parse_list(text).expect(text).iter().map(|measure| measure.to_string()).collect()
    };
    assert_eq!(
        names("nDCG(gains={0:0,1:2})@10, P.5,10 utility_2,-1,0,0,map,unj"),
        ["nDCG(gains={0:0,1:2})@10", "P@5", "P@10", "utility(weights=[2,-1,0,0])", "AP", "unj@5", "unj@10", "unj@20"]
    );
    assert_eq!(names("official").len(), 29);
    assert_eq!(names("all_trec").len(), 98);
    assert_eq!(names(" \t, "), [""; 0]);
}

/// The values for one query, whose best ranking has the grades 3, 2, 1, 1.
fn value(text: &str, grades: &[Option<i32>]) -> f64 {
    let judgements = Judgements::new([0, 2, 1, -1, 3, 0, 1]);
    measure(text).evaluate(&JudgedRanking { grades, judgements: &judgements })
}

#[test]
fn an_empty_ranking_is_worth_nothing_and_has_no_sign() {
    for text in
        ["all_trec", "Judged@10 ERR@5 Compat NERR11(max_rel=3) INST(max_rel=3) RR@10 RBP(rel=1) AP(judged_only=True)"]
    {
        for measure in Measure::parse_list(text).expect("the names are known") {
            let value = value(&measure.to_string(), &[]);
            match measure.definition.name {
                "NumQ" => assert_eq!(value, 1.0),
                "NumRel" => assert_eq!(value, 4.0),
                _ => assert_eq!(value.to_bits(), 0, "{measure}: {value}"),
            }
        }
    }
}

#[test]
fn judgements_without_relevant_documents_give_numbers() {
    let judgements = Judgements::new([0, -1]);
    let grades = [None, Some(0), Some(-1)];
    for measure in
        Measure::parse_list("all_trec ERR Compat DCG RBP(rel=1) SDCG(max_rel=3)@5 nDCG(gains={0:0})").expect("known")
    {
        let value = measure.evaluate(&JudgedRanking { grades: &grades, judgements: &judgements });
        assert!(value.is_finite(), "{measure}: {value}");
    }
}

#[test]
fn the_level_of_all_measures_can_be_set() {
    let level = |text: &str| measure(text).with_level(2).to_string();
    assert_eq!([level("AP"), level("nDCG@5"), level("RBP"), level("NumRet")], ["AP(rel=2)", "nDCG@5", "RBP", "NumRet"]);
}

#[test]
fn grades_above_the_highest_are_refused() {
    assert!(measure("nDCG@10").check_grade(7).is_ok());
    assert!(measure("ERR@10").check_grade(4).is_ok());
    let error = measure("ERR@10").check_grade(5).expect_err("the grade is too high").to_string();
    assert!(error.contains("ERR@10 is defined for grades up to 4"), "{error}");
    assert!(measure("ERR(max_rel=5)@10").check_grade(5).is_ok());
}

#[test]
fn values_are_summarized_by_the_kind_of_measure() {
    let summary = |text: &str, values: &[f64]| measure(text).summarize(values.iter().copied());
    assert_eq!(summary("AP", &[0.5, 0.25]), 0.375);
    assert_eq!(summary("NumRel", &[3.0, 4.0]), 7.0);
    assert!((summary("gm_map", &[0.5, 0.0]) - (0.5 * 0.00001_f64).sqrt()).abs() < 1e-12);
    assert_eq!(summary("AP", &[]), 0.0);
}

#[test]
fn recall_is_rounded_to_documents_as_trec_eval_10_rounds_it() {
    let grades = [Some(3), None, None, Some(1)];
    // A share of 0.3 of four documents is one document; earlier versions of trec_eval made it two.
    assert_eq!(value("IPrec@0.3", &grades), 1.0);
    assert_eq!(value("IPrec@0.4", &grades), 0.5);
    assert_eq!(value("IPrec@0.7", &grades), 0.0);
}
