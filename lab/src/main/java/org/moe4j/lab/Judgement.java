package org.moe4j.lab;

import java.util.List;

/**
 * The verdict on an experiment, computed from its results alone.
 *
 * @param findings one for each criterion
 * @param verdict of all of them
 */
public record Judgement(List<Finding> findings, Verdict verdict) {
  /** Judges {@code results} by {@code criteria}. */
  public static Judgement of(List<Criterion> criteria, Results results) {
    List<Finding> findings = criteria.stream().map(c -> c.judge(results)).toList();
    return new Judgement(findings, Verdict.all(findings.stream().map(Finding::verdict).toList()));
  }

  /** The first part of the claim that has the verdict on all of it. */
  public Finding deciding() {
    return findings.stream().filter(f -> f.verdict() == verdict).findFirst().orElseThrow();
  }
}
