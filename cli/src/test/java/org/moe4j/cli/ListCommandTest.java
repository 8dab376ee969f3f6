package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.BalanceRegistry;
import org.moe4j.Causality;
import org.moe4j.ListedSystem;
import org.moe4j.OptionKey;
import org.moe4j.ReadingList;
import org.moe4j.RouterEntry;
import org.moe4j.RouterRegistry;
import org.moe4j.Taxonomy;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ListCommandTest {
  private record Run(int status, String out, String err) {}

  private static Run list(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    String[] line = new String[args.length + 1];
    line[0] = "list";
    System.arraycopy(args, 0, line, 1, args.length);
    int status = Moe.run(Moe.COMMANDS, new PrintWriter(out), new PrintWriter(err), line);
    return new Run(status, out.toString(), err.toString());
  }

  private static JsonNode json(String... args) {
    String[] line = Arrays.copyOf(args, args.length + 1);
    line[args.length] = "--json";
    return new JsonMapper().readTree(list(line).out());
  }

  /** The line of {@code text} that begins with {@code start}. */
  private static String line(String text, String start) {
    return text.lines().filter(l -> l.startsWith(start)).findFirst().orElse("no line " + start);
  }

  @Test
  void theTableHasEverySystemRouterAndLoss() {
    String out = list().out();
    for (ListedSystem s : ReadingList.systems()) {
      assertThat(line(out, s.id()))
          .contains(s.name(), s.state().label(), s.paper().arxiv(), s.causal() ? " yes " : " no ");
    }
    assertThat(RouterRegistry.entries()).allMatch(r -> out.contains(r.name()));
    for (BalanceRegistry.Entry b : BalanceRegistry.entries()) {
      assertThat(line(out, "  " + b.loss().name() + " ")).contains(b.paper(), b.description());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "--matrix", "--routers", "S06 S17 switch z-loss"})
  void noLineIsWiderThanATerminal(String args) {
    Run run = args.isEmpty() ? list() : list(args.split(" ", -1));
    assertThat(run.status()).isZero();
    assertThat(run.err()).isEmpty();
    assertThat(run.out().lines()).allMatch(l -> l.length() <= 100 && l.equals(l.stripTrailing()));
  }

  @Test
  void theMatrixHasEveryWordOfEveryValue() {
    for (ListedSystem s : ReadingList.systems()) {
      String out = list("--matrix", s.id()).out();
      s.taxonomy().values().values().stream()
          .filter(value -> !value.equals("none"))
          .flatMap(value -> Arrays.stream(value.split(" \\+ ", -1)))
          .forEach(word -> assertThat(out).as(s.id()).contains(word));
    }
  }

  @Test
  void theMatrixHasTheColumnsOfTheTaxonomy() {
    assertThat(MatrixText.PANELS.stream().flatMap(List::stream).map(MatrixText.Column::dimension))
        .containsExactlyElementsOf(Taxonomy.WORDS.keySet());
    assertThat(list("--matrix").out().lines().filter(l -> l.startsWith("S06"))).hasSize(3);
  }

  @Test
  void theJsonIsAnArrayOfAllSystems() {
    JsonNode array = json();
    assertThat(array.isArray()).isTrue();
    assertThat(array).hasSize(60);
    for (int i = 0; i < array.size(); i++) {
      ListedSystem s = ReadingList.systems().get(i);
      JsonNode node = array.get(i);
      assertThat(node.get("id").stringValue()).isEqualTo(s.id());
      assertThat(node.get("name").stringValue()).isEqualTo(s.name());
      assertThat(node.get("paper").stringValue()).isEqualTo(s.paper().title());
      assertThat(node.get("state").stringValue()).isIn("built", "planned");
      assertThat(node.get("causal").booleanValue())
          .isEqualTo(s.causality() != Causality.LOOKS_AROUND);
      Map<String, String> values = s.taxonomy().values();
      assertThat(node.get("taxonomy")).hasSize(12);
      values.forEach((k, v) -> assertThat(node.get("taxonomy").get(k).stringValue()).isEqualTo(v));
    }
  }

  @Test
  void theJsonHasEveryRouterWithItsOptionsAndEveryLoss() {
    JsonNode array = json();
    for (RouterEntry r : RouterRegistry.entries()) {
      JsonNode node = byName(system(array, r.paper()).get("routers"), r.name());
      assertThat(node.get("description").stringValue()).isEqualTo(r.description());
      for (OptionKey key : r.options()) {
        JsonNode option = node.get("options").get(key.key());
        assertThat(option.get("default").asString()).isEqualTo(key.standard().toString());
        assertThat(option.get("doc").stringValue()).isEqualTo(key.doc());
      }
    }
    for (BalanceRegistry.Entry b : BalanceRegistry.entries()) {
      JsonNode node = byName(system(array, b.paper()).get("losses"), b.loss().name());
      assertThat(node.get("description").stringValue()).isEqualTo(b.description());
    }
  }

  private static JsonNode system(JsonNode array, String id) {
    return array.valueStream().filter(s -> s.get("id").stringValue().equals(id)).findAny().get();
  }

  private static JsonNode byName(JsonNode array, String name) {
    return array
        .valueStream()
        .filter(n -> n.get("name").stringValue().equals(name))
        .findAny()
        .get();
  }

  @Test
  void aNumberInAnyCaseOrANameGivesTheDetails() {
    Run run = list("s06");
    assertThat(run.out())
        .startsWith("S06 Switch Transformer, built")
        .contains("arXiv 2101.03961, 2021", "softmax then select, not renormalised");
    assertThat(list("switch transformer")).isEqualTo(run);
  }

  @Test
  void aRoutersDetailsAreItsOptionsAndValues() {
    RouterEntry r = RouterRegistry.named("noisy-top-k");
    String out = list(r.name()).out();
    assertThat(out).startsWith("noisy-top-k, router of S01").contains(r.description());
    for (OptionKey key : r.options()) {
      assertThat(line(out, "    " + key.key()))
          .contains(key.standard().toString())
          .contains(key.doc());
    }
    assertThat(line(out, "  learning")).contains("gate gradient");
  }

  @Test
  void aNameOfARouterAndALossGivesBoth() {
    assertThat(list("switch").out())
        .contains("switch, router of S06", "switch, balance loss of S06");
  }

  @Test
  void conditionsFilterTableMatrixRoutersAndJson() {
    List<String> experts =
        ReadingList.systems().stream()
            .filter(s -> List.of(s.taxonomy().chooser().split(" \\+ ", -1)).contains("expert"))
            .map(ListedSystem::id)
            .toList();
    assertThat(experts).isNotEmpty();
    assertThat(json("--where", "chooser=expert").valueStream())
        .extracting(n -> n.get("id").stringValue())
        .containsExactlyElementsOf(experts);
    for (String form : List.of("--where=chooser=expert", "--matrix")) {
      assertThat(list(form, "--where", "chooser=expert").out())
          .contains(experts)
          .doesNotContain("S06 ");
    }
    assertThat(json("--where", "state=planned", "--where", "causal=no").valueStream())
        .allMatch(
            n -> n.get("state").stringValue().equals("planned") && !n.get("causal").asBoolean());
    assertThat(list("--routers", "--where", "choices=1").out())
        .contains("switch, router of")
        .doesNotContain("noisy-top-k, router");
    assertThat(list("--where", "use=prune").out()).isEqualTo("no system is like this\n");
    assertThat(json("--where", "use=prune")).isEmpty();
  }

  @Test
  void namesFilterRoutersByTheirSystem() {
    assertThat(list("--routers", "S01").out())
        .contains("noisy-top-k, router")
        .doesNotContain("switch, router");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "1 | swich | no system, router or balance loss is called \"swich\"; did you mean \"switch",
        "1 | S61 | the reading list has no system \"S61\"; it goes from S01 to S60",
        "2 | --where=chooser | 'chooser' is not KEY=VALUE, for example chooser=expert",
        "2 | --where=choser=expert | no key 'choser'; use one of chooser, signal",
        "2 | --where=causal=maybe | causal has no value 'maybe'; use one of yes, no",
      })
  void whatIsUnknownIsNamedInOneLine(String expectation) {
    List<String> parts = List.of(expectation.split(" \\| ", -1));
    Run run = list(parts.get(1));
    assertThat(run.status()).isEqualTo(Integer.parseInt(parts.get(0)));
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).startsWith("moe: ").contains(parts.get(2)).hasLineCount(1);
  }
}
