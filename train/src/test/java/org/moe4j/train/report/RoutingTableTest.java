package org.moe4j.train.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class RoutingTableTest {
  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void name() {
    file = folder.resolve("routing.json");
  }

  private static LayerRouting layer(double[][] counts) {
    double[] load = new double[counts[0].length];
    for (double[] row : counts) {
      Arrays.setAll(load, e -> load[e] + row[e]);
    }
    return new LayerRouting(0, counts, load, 0, List.of());
  }

  @Test
  void whatIsWrittenIsRead() {
    RoutingTable table = new SampleRun(folder, 10, 2, 5).routing();
    table.write(file);
    assertThat(RoutingTable.read(file)).usingRecursiveComparison().isEqualTo(table);
  }

  @Test
  void aDamagedFileIsRefusedByName() throws IOException {
    new SampleRun(folder, 10, 1, 3).routing().write(file);
    String whole = Files.readString(file);
    for (int length = 0; length < whole.length(); length += 97) {
      Files.writeString(file, whole.substring(0, length));
      refused();
    }
    for (String[] change :
        new String[][] {
          {"\"tokens\":", "\"tokens\":\"many\",\"x\":"},
          {"\"domains\":[", "\"domains\":[\"one more\","},
          {"\"domains\":[", "\"domains\":[7,"},
          {"\"domain_tokens\":[", "\"domain_tokens\":[1e300,"},
          {"\"counts\":[[", "\"counts\":[[-1,"},
          {"\"counts\":[[", "\"counts\":[[1],["},
          {"\"load\":[", "\"load\":[1,"},
          {"\"load\":", "\"load\":null,\"x\":"},
          {"\"typical_tokens\":[", "\"typical_tokens\":[[],"}
        }) {
      assertThat(whole).contains(change[0]);
      Files.writeString(file, whole.replace(change[0], change[1]));
      refused();
    }
    Files.writeString(file, "[".repeat(100_000));
    refused();
    Files.delete(file);
    refused();
  }

  private void refused() {
    assertThatThrownBy(() -> RoutingTable.read(file))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("routing.json: not a routing table")
        .hasMessageNotContaining("\n");
  }

  @Test
  void theRestOfManyDomainsIsOneRow() {
    int domains = 100;
    double[][] counts = new double[domains][];
    Arrays.setAll(counts, d -> new double[] {d, 2 * d});
    RoutingTable table =
        new RoutingTable(
            5000,
            IntStream.range(0, domains).mapToObj(d -> "d" + d).toList(),
            IntStream.range(0, domains).mapToLong(d -> d).toArray(),
            List.of(layer(counts)));
    RoutingTable small = table.largest(11);
    assertThat(small.domains()).hasSize(11).startsWith("d90").endsWith("d99", "90 other domains");
    assertThat(small.domainTokens()[10]).isEqualTo(89 * 90 / 2);
    assertThat(small.layers().getFirst().counts()[10]).containsExactly(89 * 90 / 2, 89 * 90);
    assertThat(Arrays.stream(small.domainTokens()).sum())
        .isEqualTo(Arrays.stream(table.domainTokens()).sum());
    assertThat(table.largest(domains)).isSameAs(table);
  }

  @Test
  void specialisationIsTheMutualInformation() {
    assertThat(layer(new double[][] {{8, 0}, {0, 8}}).specialisation()).isEqualTo(1, within(1e-12));
    assertThat(layer(new double[][] {{3, 9}, {1, 3}}).specialisation()).isEqualTo(0, within(1e-12));
    double p = 0.75;
    double bits = 1 + p * Math.log(p) / Math.log(2) + (1 - p) * Math.log(1 - p) / Math.log(2);
    assertThat(layer(new double[][] {{3, 1}, {1, 3}}).specialisation())
        .isEqualTo(bits, within(1e-12));
  }

  @Test
  void loadIsSummedUp() {
    LayerRouting layer = layer(new double[][] {{6, 0, 1, 1}, {2, 0, 3, 3}});
    assertThat(layer.unused()).isEqualTo(1);
    assertThat(layer.maxOverMean()).isEqualTo(2);
    assertThat(layer(new double[][] {{5, 5, 5, 5}}).loadEntropy()).isEqualTo(2, within(1e-12));
  }

  @Test
  void similarRowsBecomeNeighbours() {
    double[][] counts = {{9, 1, 0}, {0, 1, 9}, {80, 12, 0}, {0, 0, 0}, {1, 10, 88}, {10, 0, 1}};
    List<Integer> order = Seriation.order(counts);
    assertThat(order).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5);
    assertThat(Math.abs(order.indexOf(1) - order.indexOf(4))).isEqualTo(1);
    List<Integer> first = List.of(order.indexOf(0), order.indexOf(2), order.indexOf(5));
    assertThat(
            first.stream().mapToInt(i -> i).max().orElseThrow()
                - first.stream().mapToInt(i -> i).min().orElseThrow())
        .isEqualTo(2);
    assertThat(Seriation.order(new double[0][])).isEmpty();
  }
}
