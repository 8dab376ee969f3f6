package org.moe4j.train.route;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Keeps the beginning of one sequence of each of the first domains, with its choices in all layers.
 */
final class TextSamples {
  private static final int MOST_SAMPLES = 8;
  private static final int MOST_TOKENS = 200;

  private final Map<Integer, Kept> byDomain = new TreeMap<>();
  private final Map<Long, Kept> byNumber = new HashMap<>();

  private record Kept(int[] ids, Map<Integer, TextSample.Choices> layers) {}

  /** Takes a sequence of every domain of {@code tokens} that has none yet. */
  void choose(TokenBatch tokens) {
    for (int b = 0; b < tokens.sequences(); b++) {
      int domain = tokens.domains()[b];
      if (byDomain.size() < MOST_SAMPLES && !byDomain.containsKey(domain)) {
        int from = b * tokens.length();
        int[] ids = new int[Math.min(MOST_TOKENS, counted(tokens, b))];
        for (int s = 0; s < ids.length; s++) {
          ids[s] = (int) tokens.ids()[from + 1 + s];
        }
        Kept kept = new Kept(ids, new LinkedHashMap<>());
        byDomain.put(domain, kept);
        byNumber.put(tokens.numbers()[b], kept);
      }
    }
  }

  private static int counted(TokenBatch tokens, int sequence) {
    int counted = 0;
    for (int s = 0; s < tokens.length(); s++) {
      counted += tokens.counted()[sequence * tokens.length() + s] ? 1 : 0;
    }
    return counted;
  }

  /** Writes down the choices of the sequences taken. */
  void add(TokenBatch tokens, RoutingTrace.Chosen trace) {
    for (int b = 0; b < tokens.sequences(); b++) {
      Kept kept = byNumber.get(tokens.numbers()[b]);
      if (kept != null) {
        int n = kept.ids.length;
        int[] first = new int[n];
        int[] second = new int[n];
        float[] weights = new float[n];
        Arrays.fill(second, -1);
        for (int s = 0; s < n; s++) {
          // Of a token in parts, the first one.
          int row = (b * tokens.length() + 1 + s) * trace.parts();
          first[s] = trace.choice(row, 0);
          weights[s] = trace.weights()[row * trace.k()];
          if (trace.k() > 1) {
            second[s] = trace.choice(row, 1);
          }
        }
        kept.layers.put(trace.layer(), new TextSample.Choices(first, second, weights));
      }
    }
  }

  /** The samples in the order of the domains. */
  List<TextSample> result(List<String> domains, Subject subject) {
    List<TextSample> samples = new ArrayList<>();
    byDomain.forEach(
        (domain, kept) -> {
          if (!kept.layers.isEmpty()) {
            samples.add(new TextSample(domains.get(domain), subject.pieces(kept.ids), kept.layers));
          }
        });
    return samples;
  }
}
