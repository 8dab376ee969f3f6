package org.moe4j.train.report;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Who goes where: what {@link RoutingAnalysis} counted, and the file {@code routing.json}.
 *
 * @param tokens the real tokens that were routed
 * @param domains the names of the domains that occurred, D of them
 * @param domainTokens how many tokens each of them has [D]
 * @param layers the sparse layers in order
 */
public record RoutingTable(
    long tokens, List<String> domains, long[] domainTokens, List<LayerRouting> layers) {
  private static final JsonMapper JSON = new JsonMapper();

  /** Checks that the shapes agree. */
  public RoutingTable {
    domains = List.copyOf(domains);
    layers = List.copyOf(layers);
    int count = domains.size();
    if (domainTokens.length != count
        || !layers.stream().allMatch(layer -> layer.counts().length == count)) {
      throw new MoeException("the routing counts are not of the " + count + " domains named");
    }
  }

  /** Writes {@code file}, all or nothing. */
  public void write(Path file) {
    AtomicFile.write(file, JSON.writeValueAsString(tree()).getBytes(StandardCharsets.UTF_8));
  }

  private Map<String, Object> tree() {
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("tokens", tokens);
    tree.put("domains", domains);
    tree.put("domain_tokens", domainTokens);
    tree.put("layers", layers.stream().map(RoutingTable::tree).toList());
    return tree;
  }

  private static Map<String, @Nullable Object> tree(LayerRouting layer) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("layer", layer.layer());
    tree.put("counts", Arrays.stream(layer.counts()).map(RoutingTable::exact).toList());
    tree.put("load", exact(layer.load()));
    tree.put("dropped", layer.dropped());
    tree.put("max_over_mean", Numbers.exact(layer.maxOverMean()));
    tree.put("load_entropy_bits", layer.loadEntropy());
    tree.put("specialisation_bits", layer.specialisation());
    tree.put("typical_tokens", layer.typical());
    return tree;
  }

  private static List<@Nullable Number> exact(double[] values) {
    List<@Nullable Number> list = new ArrayList<>();
    for (double value : values) {
      list.add(Numbers.exact(value));
    }
    return list;
  }

  /**
   * Reads what {@link #write} has written.
   *
   * @throws MoeException when the file cannot be read or is no such table
   */
  public static RoutingTable read(Path file) {
    try {
      JsonNode tree = JSON.readTree(file.toFile());
      return new RoutingTable(
          tree.required("tokens").longValue(),
          tree.required("domains").valueStream().map(JsonNode::stringValue).toList(),
          tree.required("domain_tokens").valueStream().mapToLong(JsonNode::longValue).toArray(),
          tree.required("layers").valueStream().map(RoutingTable::layer).toList());
    } catch (JacksonException | MoeException e) {
      String problem = e instanceof JacksonException j ? j.getOriginalMessage() : e.getMessage();
      throw new MoeException(file + ": not a routing table (" + problem + ")", e);
    }
  }

  private static LayerRouting layer(JsonNode tree) {
    return new LayerRouting(
        tree.required("layer").intValue(),
        tree.required("counts").valueStream().map(RoutingTable::counts).toArray(double[][]::new),
        counts(tree.required("load")),
        tree.required("dropped").doubleValue(),
        tree.required("typical_tokens").valueStream().map(RoutingTable::typical).toList());
  }

  private static double[] counts(JsonNode array) {
    double[] counts = array.valueStream().mapToDouble(JsonNode::doubleValue).toArray();
    if (!Arrays.stream(counts).allMatch(c -> c >= 0 && c < Double.POSITIVE_INFINITY)) {
      throw new MoeException("a count is below 0");
    }
    return counts;
  }

  private static List<LayerRouting.TypicalToken> typical(JsonNode list) {
    return list.valueStream()
        .map(
            token ->
                new LayerRouting.TypicalToken(
                    token.required("token").stringValue(),
                    token.required("count").doubleValue(),
                    token.required("share").doubleValue()))
        .toList();
  }

  /** What the script of a page draws of this table, its {@code routing}. */
  public Map<String, Object> chart() {
    return ChartData.routing(largest(ChartData.MOST_DOMAINS));
  }

  /**
   * The same table with at most {@code limit} domains: those with the most tokens by name, the rest
   * together as one.
   */
  public RoutingTable largest(int limit) {
    if (domains.size() <= limit) {
      return this;
    }
    List<Integer> bySize =
        IntStream.range(0, domains.size())
            .boxed()
            .sorted((a, b) -> Long.compare(domainTokens[b], domainTokens[a]))
            .toList();
    int[] kept = bySize.subList(0, limit - 1).stream().mapToInt(d -> d).sorted().toArray();
    int[] rest = bySize.subList(limit - 1, bySize.size()).stream().mapToInt(d -> d).toArray();
    List<String> names = new ArrayList<>();
    long[] sizes = new long[limit];
    for (int i = 0; i < kept.length; i++) {
      names.add(domains.get(kept[i]));
      sizes[i] = domainTokens[kept[i]];
    }
    names.add(rest.length + " other domains");
    sizes[limit - 1] = Arrays.stream(rest).mapToLong(d -> domainTokens[d]).sum();
    return new RoutingTable(
        tokens, names, sizes, layers.stream().map(layer -> largest(layer, kept, rest)).toList());
  }

  private static LayerRouting largest(LayerRouting layer, int[] kept, int[] rest) {
    double[][] counts = new double[kept.length + 1][layer.experts()];
    for (int i = 0; i < kept.length; i++) {
      counts[i] = layer.counts()[kept[i]];
    }
    for (int d : rest) {
      for (int e = 0; e < layer.experts(); e++) {
        counts[kept.length][e] += layer.counts()[d][e];
      }
    }
    return new LayerRouting(layer.layer(), counts, layer.load(), layer.dropped(), layer.typical());
  }
}
