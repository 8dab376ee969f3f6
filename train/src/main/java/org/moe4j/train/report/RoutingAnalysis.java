package org.moe4j.train.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import org.moe4j.MoeOutput;
import org.moe4j.Routing;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.data.Batch;
import org.moe4j.train.data.BpeTokenizer;
import org.moe4j.train.data.ValidationSet;

/**
 * Counts, over batches of text, which domains and which tokens go to which expert of which layer.
 * Choices count before capacity drops any: they say what the router wants. Padding counts nowhere.
 *
 * <p>Rows are exact: over all experts, the counts of a domain sum to its tokens times the choices a
 * token has (for routers where experts choose, to the choices they made).
 */
public final class RoutingAnalysis {
  /** A layer with more experts is left out: a table of that many helps nobody. */
  private static final int MOST_EXPERTS = 4096;

  private final List<String> domains;
  private final int vocab;
  private final IntFunction<String> spelling;
  private final long[] domainTokens;
  private final Map<Integer, LayerCounts> layers = new TreeMap<>();
  private long tokens;

  /**
   * An empty count.
   *
   * @param domains names of the domains by id
   * @param vocab V; token ids are below it
   * @param spelling the text of a token id, for the lists of typical tokens
   */
  public RoutingAnalysis(List<String> domains, int vocab, IntFunction<String> spelling) {
    this.domains = List.copyOf(domains);
    this.vocab = vocab;
    this.spelling = spelling;
    this.domainTokens = new long[domains.size()];
  }

  /** A forward pass without gradients that returns what each sparse layer did, by its index. */
  @FunctionalInterface
  public interface Forward {
    /**
     * Runs one batch.
     *
     * @param ids [B,S] I64
     * @param context of the same B and S, with domains and, where the batch is padded, its mask
     */
    Map<Integer, MoeOutput> run(Tensor ids, TokenContext context);
  }

  /**
   * The analysis of {@code model} over the first {@code maxBatches} batches of {@code validation}.
   *
   * @param domains names of the domains by id, as in the dataset
   */
  public static RoutingTable of(
      Decoder model,
      ValidationSet validation,
      List<String> domains,
      BpeTokenizer tokenizer,
      int maxBatches) {
    RoutingAnalysis analysis =
        new RoutingAnalysis(
            domains,
            tokenizer.vocabSize(),
            id -> tokenizer.isSpecial(id) ? BpeTokenizer.END_OF_TEXT : tokenizer.decode(id));
    Device device = model.parameters().device();
    for (int b = 0; b < Math.min(maxBatches, validation.batches()); b++) {
      analysis.add(
          validation.batch(b), device, (ids, context) -> model.forward(ids, context).moe());
    }
    return analysis.table();
  }

  /** Runs {@code batch} on {@code device} and counts its routing. */
  public void add(Batch batch, Device device, Forward forward) {
    long b = batch.sequences();
    long s = batch.length();
    int[] domainIds = batch.domains();
    boolean[] real = new boolean[domainIds.length];
    byte[] mask = new byte[real.length];
    boolean padded = false;
    long[] wideDomains = new long[real.length];
    for (int t = 0; t < real.length; t++) {
      real[t] = batch.targets()[t] != Batch.IGNORED;
      mask[t] = (byte) (real[t] ? 1 : 0);
      padded |= !real[t];
      wideDomains[t] = domainIds[t];
    }
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor ids = Tensor.of(batch.inputs(), b, s).to(device);
      TokenContext context =
          TokenContext.eval(b, s)
              .withDomains(Tensor.of(wideDomains, b, s).to(device))
              .withSequenceIndex(Tensor.of(batch.texts(), b, s).to(device));
      if (padded) {
        context = context.withPadding(Tensor.of(mask, b, s).gt(0).to(device));
      }
      Map<Integer, Routing> routings = new LinkedHashMap<>();
      forward.run(ids, context).forEach((layer, out) -> routings.put(layer, out.routing()));
      add(batch.inputs(), domainIds, real, routings);
    }
  }

  /**
   * Counts the routing of T tokens.
   *
   * @param ids token ids [T]
   * @param domainIds each token's domain, negative for none [T]
   * @param real false for padding [T]
   * @param routings each sparse layer's routing of these tokens, by the layer's index
   */
  public void add(long[] ids, int[] domainIds, boolean[] real, Map<Integer, Routing> routings) {
    for (int t = 0; t < ids.length; t++) {
      if (real[t]) {
        tokens++;
        if (domainIds[t] >= 0) {
          domainTokens[domainIds[t]]++;
        }
      }
    }
    routings.forEach(
        (index, routing) -> {
          if (routing.expertCount() <= MOST_EXPERTS) {
            layers
                .computeIfAbsent(
                    index, i -> new LayerCounts(routing.expertCount(), domains.size(), vocab))
                .add(ids, domainIds, real, routing);
          }
        });
  }

  /** What was counted so far; domains that did not occur are left out. */
  public RoutingTable table() {
    List<Integer> seen = new ArrayList<>();
    for (int d = 0; d < domainTokens.length; d++) {
      if (domainTokens[d] > 0) {
        seen.add(d);
      }
    }
    List<LayerRouting> rows = new ArrayList<>();
    layers.forEach((index, counts) -> rows.add(counts.table(index, seen, spelling)));
    return new RoutingTable(
        tokens,
        seen.stream().map(domains::get).toList(),
        seen.stream().mapToLong(d -> domainTokens[d]).toArray(),
        rows);
  }

  /** The counts of one layer. */
  private static final class LayerCounts {
    private final int experts;
    private final double @Nullable [][] byDomain;
    private final double[] load;
    private final TokenCounts byToken;
    private double asked;
    private double served;

    LayerCounts(int experts, int domains, int vocab) {
      this.experts = experts;
      this.byDomain = new double @Nullable [domains][];
      this.load = new double[experts];
      this.byToken = new TokenCounts(experts, vocab);
    }

    void add(long[] ids, int[] domainIds, boolean[] real, Routing routing) {
      // A router may see several rows of each token (S41), one behind the other.
      int parts =
          routing instanceof TokenChoice r && ids.length > 0 ? (int) (r.tokens() / ids.length) : 1;
      ChoiceReader reader =
          (row, expert, weight, kept) -> {
            int token = row / parts;
            if (real[token]) {
              asked += weight;
              served += kept ? weight : 0;
              load[expert] += weight;
              byToken.add(expert, ids[token], weight);
              if (domainIds[token] >= 0) {
                row(domainIds[token])[expert] += weight;
              }
            }
          };
      reader.read(routing);
    }

    /** Rows are made when a domain first occurs: there may be many names and little text. */
    private double[] row(int domain) {
      double[] row = byDomain[domain];
      if (row == null) {
        row = new double[experts];
        byDomain[domain] = row;
      }
      return row;
    }

    LayerRouting table(int index, List<Integer> seen, IntFunction<String> spelling) {
      return new LayerRouting(
          index,
          seen.stream().map(this::row).map(double[]::clone).toArray(double[][]::new),
          load.clone(),
          asked == 0 ? 0 : 1 - served / asked,
          byToken.typical(spelling));
    }
  }
}
