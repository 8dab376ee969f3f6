package org.moe4j.lab.papers;

import java.util.List;
import java.util.Set;
import org.moe4j.lab.Arm;
import org.moe4j.lab.ClusteredHashArm;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Held;
import org.moe4j.lab.LanguageArm;
import org.moe4j.lab.Metric;

/** S13: routing by a hash of the token against routing that is learned. */
final class HashAgainstLearned {
  private HashAgainstLearned() {}

  static Experiment experiment() {
    LanguageArm hash = LanguageArm.of("moe.router=hash", "moe.experts=16", "moe.top-k=1");
    return Experiment.of(
        "S13",
        "A fixed table from tokens to experts is as good as a learned router; what is hashed"
            + " matters: the token itself is better than the token before it.",
        "The paper's perplexity with 64 experts is 23.2 with a balanced, random or dispersed"
            + " table, 23.7 with Switch, 23.9 with clusters of similar tokens and 24.2 when the"
            + " bigram or the previous token decides. Here are 16 experts, where the paper's gap to"
            + " Switch is smallest, a vocabulary of 1024 tokens, and so few steps that the learned"
            + " router has hardly begun to tell tokens apart: the tables are 4 percent ahead of it."
            + " Clusters are those of the embeddings of a dense model that learned the same text"
            + " for 300 steps.",
        List.of(
            Arm.of(
                "balanced hash",
                "a table that gives each expert the same share of the text",
                hash.with("moe.options.table=balanced")),
            Arm.of("random hash", "a table made by chance", hash.with("moe.options.table=random")),
            Arm.of(
                "dispersed hash",
                "similar tokens go to different experts",
                new ClusteredHashArm(hash.with("moe.options.table=dispersed"))),
            Arm.of(
                "clustered hash",
                "similar tokens go to the same expert",
                new ClusteredHashArm(hash.with("moe.options.table=clustered"))),
            Arm.of(
                "bigram",
                "a hash of the token and the one before",
                LanguageArm.of("moe.router=hash-ngram", "moe.experts=16", "moe.top-k=1")),
            Arm.of(
                "previous token",
                "a hash of the token before alone",
                LanguageArm.of("moe.router=hash-ngram", "moe.experts=16", "moe.top-k=1")
                    .with("moe.options.reads=previous")),
            Arm.of(
                "switch",
                "top-1 of a learned router, balance loss 0.01, nothing dropped",
                LanguageArm.of("moe.router=switch", "moe.experts=16"))),
        List.of(
            Criterion.better("balanced hash", "previous token", Metric.LOSS, 0.013, 0.003),
            Criterion.notWorse("balanced hash", "switch", Metric.LOSS, 0.01)),
        Set.of(Held.STEPS, Held.TOKENS, Held.PARAMETERS, Held.ACTIVE_PARAMETERS, Held.FLOPS));
  }
}
