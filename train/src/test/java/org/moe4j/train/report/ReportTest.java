package org.moe4j.train.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.metrics.MetricsWriter;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class ReportTest {
  private static final JsonMapper JSON = new JsonMapper();
  private static final List<String> FILES =
      List.of("config.toml", "metrics.jsonl", "summary.json", "routing.json");
  private static final Pattern SCRIPT = Pattern.compile("(?s)<script([^>]*)>(.*?)</script>");

  @TempDir private Path runs;
  private Path run;

  @BeforeEach
  void name() throws IOException {
    run = Files.createDirectory(runs.resolve("first"));
  }

  private String report() {
    try {
      return Files.readString(Report.write(run));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<String> scripts(String html) {
    return SCRIPT.matcher(html).results().map(m -> m.group(2)).toList();
  }

  private static JsonNode data(String html) {
    return JSON.readTree(scripts(html).getFirst());
  }

  /** What is left when the scripts' and the styles' text is taken out. */
  private static String markup(String html) {
    return SCRIPT
        .matcher(html)
        .replaceAll("<script$1></script>")
        .replaceAll("(?s)<style>.*</style>", "");
  }

  @Test
  void aWholeRunHasEverySectionInTheOrderOfReading() throws IOException {
    new SampleRun(run, 60, 3, 8).all();
    String html = report();
    assertThat(html).hasSizeLessThan(1_000_000).startsWith("<!DOCTYPE html>\n<html lang=\"en\">");
    assertThat(
            Pattern.compile("<section id=\"(\\w+)\"").matcher(html).results().map(m -> m.group(1)))
        .containsExactly(
            "headline", "learning", "load", "domains", "optimisation", "samples", "everything");
    assertThat(html)
        .contains("<title>first · moe4j</title>", "<b>1.931</b>", "2.795", "4.307")
        .contains("12.6M", "12,648,448", "4.78M", "38% of all", "2 min 31 s", "5,424")
        .contains("<b>30.9% fewer</b>", "of 60 planned", "<b>a large bird that</b> lives in")
        .contains("3 MoE layers of 8 experts")
        .doesNotContain("<p class=\"note\">This");
    assertThat(markup(html)).doesNotContain("NaN");
    Set<String> ids = new HashSet<>();
    Matcher id = Pattern.compile(" id=\"([^\"]+)\"").matcher(markup(html));
    while (id.find()) {
      assertThat(ids.add(id.group(1))).as(id.group()).isTrue();
    }
    // Every canvas is described for those who do not see it.
    assertThat(html.split("<canvas", -1))
        .hasSameSizeAs(html.split("role=\"img\" aria-label=\"", -1));
    assertThat(markup(html).split("<details", -1)).hasSize(3);
  }

  @Test
  void thePageLoadsNothingAndRunsItsOwnScriptsAlone() throws Exception {
    new SampleRun(run, 20, 2, 4).all();
    String html = report();
    assertThat(markup(html)).doesNotContain(" src=", "href=", "url(", "@import", "http:", "https:");
    assertThat(html).doesNotContain("sourceMappingURL");
    String policy = html.substring(html.indexOf("default-src"), html.indexOf("\">\n<meta name"));
    assertThat(policy)
        .startsWith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-");
    List<String> scripts = scripts(html);
    assertThat(scripts).hasSize(3);
    for (String script : scripts.subList(1, 3)) {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(script.getBytes(StandardCharsets.UTF_8));
      assertThat(policy).contains("'sha256-" + Base64.getEncoder().encodeToString(hash) + "'");
    }
    assertThat(scripts.get(1)).startsWith("/*!\n * Chart.js v4").contains("MIT License");
  }

  @Test
  void numbersInAreNumbersOut() throws IOException {
    SampleRun sample = new SampleRun(run, 50, 2, 6);
    sample.all();
    JsonNode data = data(report());
    List<JsonNode> lines = MetricsWriter.read(run.resolve("metrics.jsonl"));
    for (String column :
        List.of("loss", "lr", "grad_norm", "tokens_per_s", "val_loss", "val_bpb")) {
      List<JsonNode> with = lines.stream().filter(l -> l.has(column)).toList();
      assertThat(with).isNotEmpty();
      assertThat(data.at("/" + column + "/x").size()).as(column).isEqualTo(with.size());
      for (int i = 0; i < with.size(); i++) {
        double value = with.get(i).get(column).doubleValue();
        assertThat(data.at("/" + column + "/x/" + i)).isEqualTo(with.get(i).get("step"));
        assertThat(data.at("/" + column + "/y/" + i).doubleValue())
            .isBetween(value - 1e-5 * value, value + 1e-5 * value);
      }
    }
    assertThat(data.at("/balance/0/name").stringValue()).isEqualTo("load");
    assertThat(data.at("/baselines/order-2 byte model").doubleValue()).isEqualTo(2.7954);
    for (int layer = 0; layer < 2; layer++) {
      for (int expert = 0; expert < 6; expert++) {
        for (int i = 0; i < 50; i++) {
          assertThat(data.at("/load/layers/%d/counts/%d/%d".formatted(layer, expert, i)))
              .isEqualTo(lines.get(i).at("/expert_load/" + layer + "/" + expert));
        }
      }
    }
    RoutingTable table = RoutingTable.read(run.resolve("routing.json"));
    assertThat(data.at("/routing/domains").valueStream().map(JsonNode::stringValue))
        .containsExactlyElementsOf(table.domains());
    for (int layer = 0; layer < 2; layer++) {
      JsonNode shown = data.at("/routing/layers/" + layer);
      for (int d = 0; d < table.domains().size(); d++) {
        assertThat(shown.get("counts").get(d).valueStream().mapToDouble(JsonNode::doubleValue))
            .containsExactly(box(table.layers().get(layer).counts()[d]));
      }
      assertThat(shown.get("order").valueStream().map(JsonNode::intValue).sorted())
          .containsExactlyElementsOf(Stream.iterate(0, d -> d + 1).limit(45).toList());
    }
  }

  private static Double[] box(double[] values) {
    return Stream.of(values).flatMapToDouble(Arrays::stream).boxed().toArray(Double[]::new);
  }

  @Test
  void hostileTextStaysText() throws IOException {
    String evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`${1}<!--";
    run = Files.createDirectory(runs.resolve("<img src=x onerror=alert(3)>&\"'"));
    SampleRun sample = new SampleRun(run, 10, 1, 2);
    sample.summary(List.of(Map.of("prompt", evil, "text", evil)));
    Files.writeString(run.resolve("config.toml"), "# </pre>" + evil + "\n[train]\nsteps = 10\n");
    Files.writeString(
        run.resolve("metrics.jsonl"),
        JSON.writeValueAsString(
                Map.of("step", 1, "loss", 2.5, "balance", Map.of(evil, 1.5), evil, 3))
            + "\n");
    LayerRouting layer =
        new LayerRouting(
            0,
            new double[][] {{3, 4}},
            new double[] {3, 4},
            0,
            List.of(List.of(new LayerRouting.TypicalToken(evil, 3, 1)), List.of()));
    new RoutingTable(7, List.of(evil), new long[] {7}, List.of(layer))
        .write(run.resolve("routing.json"));
    JsonNode summary = JSON.readTree(Files.readString(run.resolve("summary.json")));
    ((ObjectNode) summary).put(evil, evil);
    Files.writeString(run.resolve("summary.json"), JSON.writeValueAsString(summary));

    String html = report();
    assertThat(scripts(html)).hasSize(3);
    assertThat(html.split("<script", -1)).hasSize(4);
    assertThat(markup(html)).doesNotContain("<img", "<!--", "onerror=alert(1)\"");
    assertThat(markup(html).split("</pre>", -1)).hasSize(2);
    String escaped = Html.escape(evil);
    assertThat(escaped).doesNotContain("<", ">", "\"", "'");
    assertThat(html).contains("<b>" + escaped + "</b>" + escaped);
    JsonNode data = data(html);
    assertThat(data.at("/routing/domains/0").stringValue()).isEqualTo(evil);
    assertThat(data.at("/routing/layers/0/typical/0/0/token").stringValue()).isEqualTo(evil);
    assertThat(data.at("/balance/0/name").stringValue()).isEqualTo(evil);
  }

  @Test
  void anyPartOfARunHasAReport() throws IOException {
    Path whole = Files.createDirectory(runs.resolve("whole"));
    new SampleRun(whole, 12, 2, 4).all();
    for (int which = 1; which < 1 << FILES.size(); which++) {
      run = Files.createDirectory(runs.resolve("part" + which));
      List<String> missing = new ArrayList<>();
      for (int f = 0; f < FILES.size(); f++) {
        if ((which >> f & 1) == 1) {
          Files.copy(whole.resolve(FILES.get(f)), run.resolve(FILES.get(f)));
        } else {
          missing.add(FILES.get(f));
        }
      }
      String html = report();
      assertThat(html.contains("This run has no summary"))
          .isEqualTo(missing.contains("summary.json"));
      assertThat(html.contains("id=\"samples\"")).isEqualTo(!missing.contains("summary.json"));
      assertThat(html.contains("id=\"learning\"")).isEqualTo(!missing.contains("metrics.jsonl"));
      assertThat(html.contains("id=\"load\"")).isEqualTo(!missing.contains("metrics.jsonl"));
      assertThat(html.contains("id=\"domains\"")).isEqualTo(!missing.contains("routing.json"));
      assertThat(html.contains("config.toml")).isEqualTo(!missing.contains("config.toml"));
      assertThat(markup(html)).doesNotContain("NaN");
      assertThat(data(html).path("loss").path("x").isArray()).isTrue();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "{", "[]", "null", "\u0000\u0001", "{\"val_bpb\":\"x\",\"samples\":7}"})
  void aDamagedFileCostsNothingElse(String damage) throws IOException {
    for (String file : FILES) {
      new SampleRun(run, 12, 2, 4).all();
      Files.writeString(run.resolve(file), damage);
      String html = report();
      assertThat(html).contains("id=\"headline\"");
      assertThat(html.contains("id=\"learning\"")).isEqualTo(!file.equals("metrics.jsonl"));
      assertThat(html.contains("id=\"domains\"")).isEqualTo(!file.equals("routing.json"));
      if (file.equals("routing.json")) {
        assertThat(html).contains("routing.json cannot be read");
      }
    }
  }

  @Test
  void aKilledRunShowsWhatItHasMeasured() throws IOException {
    SampleRun sample = new SampleRun(run, 100, 2, 4);
    sample.config();
    sample.metrics(40);
    String html = report();
    assertThat(html)
        .contains("still going on, or was stopped", "<b>40</b><span>of 100 planned</span>")
        .contains("validation bits per byte");
    assertThat(data(html).path("loss").path("x").size()).isEqualTo(40);
  }

  @Test
  void lossesThatAreNoNumbersAreReported() throws IOException {
    Files.writeString(
        run.resolve("metrics.jsonl"),
        """
        {"step":1,"loss":2.5,"expert_load":[]}
        {"step":2,"loss":null,"grad_norm":null}
        not a line
        {"loss":1}
        {"step":"x","loss":1}
        {"step":3,"loss":2.25}
        """);
    String html = report();
    assertThat(html).contains("The loss was not a finite number at 1 logged steps.");
    assertThat(data(html).path("loss").toString()).contains("[1,2,3]", "[2.5,null,2.25]");
    assertThat(html).doesNotContain("id=\"load\"", "another shape");
  }

  @Test
  void theOldReportIsReplacedAndNothingElseIsLeft() throws IOException {
    new SampleRun(run, 10, 1, 2).all();
    Files.writeString(run.resolve("report.html"), "old");
    assertThat(Report.write(run)).isEqualTo(run.resolve("report.html"));
    assertThat(run.resolve("report.html")).content().doesNotStartWith("old");
    try (Stream<Path> files = Files.list(run)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "config.toml", "metrics.jsonl", "summary.json", "routing.json", "report.html");
    }
  }

  @Test
  void aFolderThatIsNoRunIsRefused() {
    assertThatThrownBy(() -> Report.write(run))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("first: not the folder of a run");
    assertThatThrownBy(() -> Report.write(runs.resolve("nowhere")))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("nowhere: no such run folder");
    assertThat(run).isEmptyDirectory();
  }

  @Test
  void numbersAreReadable() {
    assertThat(Numbers.of(-0.0004, 3)).isEqualTo("0.000");
    assertThat(Numbers.of(-0.0005, 3)).isEqualTo("-0.001");
    assertThat(Numbers.of(-1234.4, 0)).isEqualTo("-1,234");
    assertThat(Numbers.of(Double.NEGATIVE_INFINITY, 2)).isEqualTo("-Infinity");
    assertThat(Numbers.count(999)).isEqualTo("999");
    assertThat(Numbers.count(999_600)).isEqualTo("1.00M");
    assertThat(Numbers.count(12_345)).isEqualTo("12.3K");
    assertThat(Numbers.count(1.41e9)).isEqualTo("1.41B");
    assertThat(Numbers.duration(59.6)).isEqualTo("1 min 00 s");
    assertThat(Numbers.duration(3599.7)).isEqualTo("1 h 00 min");
    assertThat(Numbers.brief(0.00213)).isEqualTo("0.00213");
    assertThat(Numbers.brief(3.21e-6)).isEqualTo("3.21e-06");
    assertThat(Numbers.exact(3.0)).isEqualTo(3L);
    assertThat(Numbers.exact(Double.NaN)).isNull();
  }
}
