package org.moe4j.train.route;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.moe4j.models.Decoder;
import org.moe4j.train.report.LayerRouting;

/** All analyses of one layer. */
final class LayerStudy {
  private static final int MOST_PAIRED = 512;

  private final int layer;
  private final int experts;
  private final int k;
  private final int domains;
  private final String note;
  private final LoadAnalysis load;
  private final SpecialisationAnalysis specialisation;
  private final TokenAnalysis tokens;
  private final @Nullable ConfidenceAnalysis confidence;
  private final @Nullable RepetitionAnalysis repetition;
  private final @Nullable CoactivationAnalysis coactivation;

  /** For a layer that routes as {@code trace} does. */
  LayerStudy(RoutingTrace trace, int domains, Vocabulary vocabulary) {
    layer = trace.layer();
    experts = trace.experts();
    this.domains = domains;
    load = new LoadAnalysis(domains, experts);
    specialisation = new SpecialisationAnalysis(domains, experts, layer);
    tokens = new TokenAnalysis(experts, vocabulary);
    switch (trace) {
      case RoutingTrace.Chosen chosen -> {
        k = chosen.k();
        confidence = new ConfidenceAnalysis(experts, k);
        repetition = new RepetitionAnalysis(domains, experts, k);
        coactivation = k > 1 && experts <= MOST_PAIRED ? new CoactivationAnalysis(experts) : null;
        note =
            experts > MOST_PAIRED ? "pairs of " + experts + " experts are too many to count" : "";
      }
      case RoutingTrace.Spread spread -> {
        k = 0;
        confidence = null;
        repetition = null;
        coactivation = null;
        note = spread.reason();
      }
    }
  }

  void add(TokenBatch batch, RoutingTrace trace) {
    Stream.of(load, specialisation, tokens).forEach(a -> a.add(batch, trace));
    Stream.<@Nullable Analysis>of(confidence, repetition, coactivation)
        .forEach(
            a -> {
              if (a != null) {
                a.add(batch, trace);
              }
            });
  }

  LayerFindings findings(Decoder model, Subject subject) {
    double[][] none = new double[0][];
    return new LayerFindings(
        new LayerRouting(layer, load.any(), load.load(), load.dropped(), List.of()),
        k,
        k > 0 ? load.first() : none,
        k > 1 ? load.second() : none,
        domains > 1 ? Optional.of(specialisation.result()) : Optional.empty(),
        Optional.ofNullable(confidence).map(ConfidenceAnalysis::result),
        Optional.ofNullable(repetition).map(RepetitionAnalysis::result),
        repetition == null ? List.of() : repetition.byDomain(),
        Optional.ofNullable(coactivation).map(CoactivationAnalysis::result),
        Similarity.ofRouter(model, layer, experts),
        Similarity.ofExperts(model, layer, experts),
        tokens.result(subject::spell),
        note);
  }
}
