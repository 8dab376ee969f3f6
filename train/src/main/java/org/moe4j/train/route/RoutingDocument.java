package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.moe4j.train.report.LayerRouting;
import org.moe4j.train.report.Numbers;
import org.moe4j.train.report.Seriation;
import tools.jackson.databind.json.JsonMapper;

/**
 * The findings as one JSON object. Counts are exact, other numbers have six digits; what is not
 * defined is null. Pairs of experts are triangles: (1,0), (2,0), (2,1), ...
 */
public final class RoutingDocument {
  /** Triangles of more numbers, over all layers, are left out; their summaries stay. */
  private static final long MOST_PAIRS = 1 << 19;

  private static final int STRONGEST = 16;
  private static final JsonMapper JSON = new JsonMapper();

  private final RoutingFindings findings;
  private final boolean triangles;

  private RoutingDocument(RoutingFindings findings) {
    this.findings = findings;
    long pairs =
        findings.layers().stream()
            .mapToLong(l -> (long) l.load().experts() * (l.load().experts() - 1) / 2)
            .sum();
    this.triangles = pairs <= MOST_PAIRS;
  }

  /** The whole document on one line. */
  public static String json(RoutingFindings findings) {
    return JSON.writeValueAsString(new RoutingDocument(findings).tree());
  }

  private Map<String, @Nullable Object> tree() {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("model", findings.model().toString());
    tree.put("tokens", findings.tokens());
    tree.put("sequences", findings.sequences());
    tree.put("context", findings.context());
    tree.put("domains", findings.domains());
    tree.put("domain_tokens", findings.domainTokens());
    tree.put("layers", findings.layers().stream().map(this::layer).toList());
    tree.put("samples", findings.samples().stream().map(RoutingDocument::sample).toList());
    tree.put("notes", findings.notes());
    return tree;
  }

  private Map<String, @Nullable Object> layer(LayerFindings f) {
    LayerRouting load = f.load();
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("layer", f.layer());
    tree.put("name", "Layer " + f.layer());
    tree.put("experts", load.experts());
    tree.put("choices", f.k());
    tree.put("load", numbers(load.load()));
    tree.put("counts", rows(load.counts()));
    tree.put("first", rows(f.first()));
    tree.put("second", rows(f.second()));
    tree.put("order", Seriation.order(load.counts()));
    tree.put("max_over_mean", number(load.maxOverMean()));
    tree.put("load_entropy_bits", number(load.loadEntropy()));
    tree.put("unused", load.unused());
    tree.put("dropped", number(load.dropped()));
    tree.put("specialisation", f.specialisation().map(s -> number(s.bits())).orElse(null));
    tree.put("specialisation_chance", f.specialisation().map(s -> number(s.chance())).orElse(null));
    tree.put(
        "specialisation_chance_most",
        f.specialisation().map(s -> number(s.chanceMost())).orElse(null));
    tree.put(
        "specialisation_normalised",
        f.specialisation().map(s -> number(s.normalised())).orElse(null));
    tree.put("confidence", f.confidence().map(RoutingDocument::confidence).orElse(null));
    tree.put("repetition", f.repetition().map(r -> repetition(r, f)).orElse(null));
    tree.put("coactivation", f.coactivation().map(this::coactivation).orElse(null));
    tree.put("router_similarity", f.router().map(this::similarity).orElse(null));
    tree.put("expert_similarity", f.experts().map(this::similarity).orElse(null));
    tree.put("typical", f.tokens());
    tree.put("note", f.note());
    return tree;
  }

  private static Map<String, @Nullable Object> confidence(Confidence c) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("top_probability", number(c.topProbability()));
    tree.put("chosen_mass", number(c.chosenMass()));
    tree.put("mean_entropy_bits", number(c.meanEntropy()));
    tree.put("entropy_of_mean_bits", number(c.entropyOfMean()));
    tree.put("weights", numbers(c.weights()));
    tree.put("top_probabilities", c.topProbabilities());
    tree.put("first_shares", c.firstShares());
    return tree;
  }

  private static Map<String, @Nullable Object> repetition(Repetition all, LayerFindings f) {
    int experts = f.load().experts();
    Map<String, @Nullable Object> tree = repetition(all);
    tree.put("even_first", number(Repetition.evenFirst(experts)));
    tree.put("even_either", f.k() < 2 ? null : number(Repetition.evenEither(experts)));
    tree.put("domains", f.byDomain().stream().map(RoutingDocument::repetition).toList());
    return tree;
  }

  private static Map<String, @Nullable Object> repetition(Repetition r) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("pairs", r.pairs());
    tree.put("first", number(r.first()));
    tree.put("first_chance", number(r.firstChance()));
    tree.put("either", number(r.either()));
    tree.put("either_chance", number(r.eitherChance()));
    tree.put("overlap", number(r.overlap()));
    tree.put("overlap_chance", number(r.overlapChance()));
    return tree;
  }

  private Map<String, @Nullable Object> coactivation(Coactivation c) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("strongest", c.strongest(STRONGEST));
    if (triangles) {
      tree.put("counts", c.counts());
      tree.put("expected", numbers(c.expected()));
    }
    return tree;
  }

  private Map<String, @Nullable Object> similarity(Similarity s) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("mean", number(s.mean()));
    if (triangles) {
      double[] rounded = Arrays.stream(s.triangle()).map(RoutingDocument::five).toArray();
      tree.put("cosines", numbers(rounded));
    }
    return tree;
  }

  private static Map<String, @Nullable Object> sample(TextSample sample) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("domain", sample.domain());
    tree.put("tokens", sample.pieces());
    List<Map<String, @Nullable Object>> layers = new ArrayList<>();
    sample
        .layers()
        .forEach(
            (layer, choices) -> {
              Map<String, @Nullable Object> each = new LinkedHashMap<>();
              each.put("layer", layer);
              each.put("first", choices.first());
              each.put("second", choices.second());
              each.put("weights", numbers(choices.weights()));
              layers.add(each);
            });
    tree.put("layers", layers);
    return tree;
  }

  private static List<List<@Nullable Number>> rows(double[][] counts) {
    return Stream.of(counts).map(RoutingDocument::numbers).toList();
  }

  private static List<@Nullable Number> numbers(double[] values) {
    List<@Nullable Number> list = new ArrayList<>();
    Arrays.stream(values).forEach(v -> list.add(number(v)));
    return list;
  }

  private static List<@Nullable Number> numbers(float[] values) {
    List<@Nullable Number> list = new ArrayList<>();
    for (float value : values) {
      list.add(number(value));
    }
    return list;
  }

  /** With five decimals: more would be noise, and there are many. */
  private static double five(double cosine) {
    return Math.rint(cosine * 1e5) / 1e5;
  }

  /** Whole numbers as they are, others with six digits. */
  private static @Nullable Number number(double value) {
    return value == Math.rint(value) ? Numbers.exact(value) : Numbers.charted(value);
  }
}
