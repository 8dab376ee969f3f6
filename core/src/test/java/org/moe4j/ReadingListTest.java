package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.tensor.MoeException;

class ReadingListTest {
  /** Built systems that are neither a router nor a loss, and the class that is their proof. */
  private static final Map<String, Class<?>> OTHER_PARTS =
      Map.of("S22", Validity.class, "S25", DroplessDispatcher.class);

  private static final List<String> SOUND =
      List.of(
          "# a comment",
          "S01 | A | built | per-token",
          "Title | 1701.06538 | 2017 | Somewhere",
          "token | linear | token | gate gradient | 1 | sigmoid",
          "none | dropless | feed-forward | few large | grouped | pre-train",
          "");

  static Stream<ListedSystem> built() {
    return ReadingList.systems().stream().filter(s -> s.state() == ListedSystem.State.BUILT);
  }

  static Stream<ListedSystem> builtRouters() {
    return built().filter(s -> !s.routers().isEmpty());
  }

  @Test
  void theListHasSixtySystemsInOrder() {
    assertThat(ReadingList.systems())
        .extracting(ListedSystem::id)
        .containsExactlyElementsOf(
            IntStream.rangeClosed(1, 60)
                .mapToObj(i -> String.format(Locale.ROOT, "S%02d", i))
                .toList());
    assertThat(ReadingList.systems()).extracting(ListedSystem::name).doesNotHaveDuplicates();
  }

  @Test
  void aPaperHasANumberOfItsYear() {
    for (ListedSystem s : ReadingList.systems()) {
      assertThat(s.paper().arxiv()).as(s.id()).matches("\\d{4}\\.\\d{4,5}");
      // S07 is the later release of S06's model; every other number says when it appeared.
      if (!s.id().equals("S07")) {
        assertThat(s.paper().arxiv())
            .as(s.id())
            .startsWith(String.format(Locale.ROOT, "%02d", s.paper().year() % 100));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("built")
  void whatIsBuiltHasAPart(ListedSystem s) {
    assertThat(!s.routers().isEmpty() || !s.losses().isEmpty() || OTHER_PARTS.containsKey(s.id()))
        .as("%s %s is built, so a router, a loss or another part carries its number", s.id(), s)
        .isTrue();
  }

  @Test
  void theOtherPartsAreOfBuiltSystemsWithoutARouter() {
    for (String id : OTHER_PARTS.keySet()) {
      assertThat(ReadingList.system(id).state()).as(id).isEqualTo(ListedSystem.State.BUILT);
      assertThat(ReadingList.system(id).routers()).as(id).isEmpty();
    }
  }

  @Test
  void everyPartIsOfAListedSystem() {
    RouterRegistry.entries().forEach(r -> ReadingList.system(r.paper()));
    BalanceRegistry.entries().forEach(b -> ReadingList.system(b.paper()));
  }

  /** A combined value agrees if it shares a word with the router's. */
  @ParameterizedTest
  @MethodSource("builtRouters")
  void aRouterOfTheSystemAgreesWithItsValues(ListedSystem s) {
    List<Function<Taxonomy, String>> dimensions =
        List.of(Taxonomy::chooser, Taxonomy::unit, Taxonomy::learning);
    assertThat(s.routers())
        .as("%s %s", s.id(), s.taxonomy().values())
        .anyMatch(
            r ->
                dimensions.stream()
                    .noneMatch(
                        d -> Collections.disjoint(words(d, s.taxonomy()), words(d, r.taxonomy()))));
  }

  private static List<String> words(Function<Taxonomy, String> dimension, Taxonomy t) {
    return Arrays.asList(dimension.apply(t).split(" \\+ ", -1));
  }

  /** Who compares tokens with each other, or drops by score, cannot decide token by token. */
  @Test
  void valuesThatCompareTokensAreNotPerToken() {
    for (ListedSystem s : ReadingList.systems()) {
      List<String> choosers = words(Taxonomy::chooser, s.taxonomy());
      List<String> overflow = words(Taxonomy::overflow, s.taxonomy());
      if (choosers.contains("expert")
          || choosers.contains("global assignment")
          || overflow.contains("drop by priority")
          || s.taxonomy().unit().equals("slot")) {
        assertThat(s.causality()).as(s.id()).isNotEqualTo(Causality.PER_TOKEN);
      }
    }
  }

  /** A dimension is filled for what routes and empty for what does not, never half. */
  @Test
  void whoRoutesHasEveryValueOfRouting() {
    for (ListedSystem s : ReadingList.systems()) {
      Taxonomy t = s.taxonomy();
      List<String> routing = List.of(t.unit(), t.choices(), t.gate(), t.placement(), t.experts());
      if (t.chooser().equals("none") && t.signal().equals("none")) {
        assertThat(List.of(t.unit(), t.choices(), t.gate(), t.experts()))
            .as(s.id())
            .containsOnly("none");
      } else {
        assertThat(routing).as(s.id()).doesNotContain("none");
      }
    }
  }

  @Test
  void aValueNamesAWordOnce() {
    for (ListedSystem s : ReadingList.systems()) {
      s.taxonomy()
          .values()
          .forEach(
              (dimension, value) ->
                  assertThat(Arrays.asList(value.split(" \\+ ", -1)))
                      .as(s.id() + " " + dimension)
                      .doesNotHaveDuplicates());
    }
  }

  @Test
  void causalIsWhatDoesNotLookAround() {
    assertThat(ReadingList.system("S06").causal()).isTrue();
    assertThat(ReadingList.system("S14").causal()).isTrue();
    assertThat(ReadingList.system("S09").causal()).isTrue();
    assertThat(ReadingList.system("S19").causal()).isFalse();
    assertThat(ReadingList.system("S28").causal()).isFalse();
  }

  @Test
  void anUnknownNumberIsRefused() {
    assertThatThrownBy(() -> ReadingList.system("S61"))
        .isInstanceOf(MoeException.class)
        .hasMessage("the reading list has no system \"S61\"; it goes from S01 to S60");
  }

  @Test
  void soundTextIsRead() {
    ListedSystem s = ReadingList.parse("list", SOUND).getFirst();
    assertThat(s.name()).isEqualTo("A");
    assertThat(s.paper()).hasToString("Title (arXiv 1701.06538, 2017, Somewhere)");
    assertThat(s.taxonomy().values().values())
        .containsExactly(
            "token",
            "linear",
            "token",
            "gate gradient",
            "1",
            "sigmoid",
            "none",
            "dropless",
            "feed-forward",
            "few large",
            "grouped",
            "pre-train");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "1; S01 | A | built;list line 2: write 4 fields",
        "1; S01 | | built | per-token;list line 2: write 4 fields",
        "1; S01 | A | done | per-token;list line 5: S01: \"done\" is none of built, planned",
        "1; S01 | A | built | never;list line 5: S01: \"never\" is none of per-token, past",
        "2; Title | 1701.06538 | MMXVII | Somewhere;S01: \"MMXVII\" is not a year",
        "3; tokens | linear | token | gate gradient | 1 | sigmoid;did you mean \"token\"?",
        "4; none | dropless | feed-forward | few large | grouped;list line 5: write 6 fields",
        "4; # gone;list line 6: a system has 4 lines",
      })
  void brokenTextIsRefusedWithItsLine(int index, String line, String message) {
    List<String> lines = new ArrayList<>(SOUND);
    lines.set(index, line);
    assertThatThrownBy(() -> ReadingList.parse("list", lines))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message);
  }

  @Test
  void aNumberTwiceOrAnUnfinishedEndIsRefused() {
    List<String> twice = Stream.concat(SOUND.stream(), SOUND.stream()).toList();
    assertThatThrownBy(() -> ReadingList.parse("list", twice))
        .hasMessage("list line 11: S01 is in the list twice; give one another number");
    assertThatThrownBy(() -> ReadingList.parse("list", SOUND.subList(0, 3)))
        .hasMessageStartingWith("list: the last system has less than 4 lines");
  }

  /** The vocabulary stays small: a word stands for a system, a router or a line of the survey. */
  @Test
  void everyWordIsUsedOrIsTheSurveys() {
    Map<String, List<String>> survey =
        Map.of(
            "signal", List.of("cosine"),
            "learning", List.of("straight-through"),
            "overflow", List.of("next choice", "random re-route", "pad"),
            "placement", List.of("embedding", "first n"),
            "use", List.of("prune"));
    Taxonomy.WORDS.forEach(
        (dimension, words) ->
            assertThat(words)
                .as(dimension)
                .allMatch(
                    w ->
                        survey.getOrDefault(dimension, List.of()).contains(w)
                            || uses(dimension).contains(w)));
  }

  private static List<String> uses(String dimension) {
    return Stream.concat(
            ReadingList.systems().stream().map(ListedSystem::taxonomy),
            RouterRegistry.entries().stream().map(RouterEntry::taxonomy))
        .flatMap(t -> Arrays.stream(t.values().get(dimension).split(" \\+ ", -1)))
        .distinct()
        .toList();
  }
}
