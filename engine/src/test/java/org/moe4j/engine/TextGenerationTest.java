package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.moe4j.engine.Completion.Finish;

/** Text of a random model whose tokens are bytes and a few words. */
class TextGenerationTest {
  private static final Sampling HOW = Sampling.GREEDY.withTokens(60);
  private static Engine model;

  @BeforeAll
  static void open() throws URISyntaxException {
    model =
        Engine.open(
            Path.of(TextGenerationTest.class.getResource("/models/mixtral-q4_0.gguf").toURI()));
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static Completion complete(Sampling how) {
    return model.generate("hello", how, part -> {});
  }

  @Test
  void textComesInPartsThatMakeTheWhole() {
    StringBuilder told = new StringBuilder();
    Completion made = model.generate("hello", HOW, told::append);
    assertThat(made.text()).isEqualTo(told.toString()).isNotEmpty();
    int[] prompt = model.tokenizer().encodePrompt("hello");
    assertThat(made.promptTokens()).isEqualTo(prompt.length);
    assertThat(made.tokens())
        .containsExactly(
            model.generate(prompt, HOW.withStop(model.tokenizer().ends()), token -> true));
    assertThat(made.finish()).isEqualTo(Finish.LENGTH);
    assertThat(made.tokens()).hasSize(60);
    assertThat(made.logprobs()).isEmpty();
    assertThat(made.seconds()).isGreaterThanOrEqualTo(made.promptSeconds());
  }

  @Test
  void aStopTextEndsTheTextBeforeIt() {
    String text = complete(HOW).text();
    for (int length = 1; length < 6; length++) {
      String stop = text.substring(7, 7 + length);
      List<String> parts = new ArrayList<>();
      Completion made = model.generate("hello", HOW.withStopTexts(List.of("no", stop)), parts::add);
      assertThat(made.text()).isEqualTo(text.substring(0, text.indexOf(stop)));
      assertThat(String.join("", parts)).isEqualTo(made.text());
      assertThat(made.finish()).isEqualTo(Finish.STOP);
    }
  }

  @Test
  void aStopTokenEndsIt() {
    int[] tokens = complete(HOW).tokens();
    Completion made = complete(HOW.withStop(Set.of(tokens[9])));
    int first = 0;
    while (tokens[first] != tokens[9]) {
      first++;
    }
    assertThat(made.tokens()).containsExactly(Arrays.copyOf(tokens, first));
    assertThat(made.finish()).isEqualTo(Finish.STOP);
  }

  @Test
  void theTokenThatEndsATextEndsIt() {
    int end = model.tokenizer().eos().orElseThrow();
    Completion made = complete(HOW.withBias(Map.of(end, 1e6f)));
    assertThat(made.finish()).isEqualTo(Finish.STOP);
    assertThat(made.tokens()).isEmpty();
    assertThat(made.text()).isEmpty();
  }

  @Test
  void aListenerThatWantsNoMoreEndsIt() {
    int[] prompt = model.tokenizer().encodePrompt("hello");
    List<String> parts = new ArrayList<>();
    Completion made = model.continueText(prompt, HOW, part -> !parts.add(part));
    assertThat(made.finish()).isEqualTo(Finish.CANCELLED);
    assertThat(parts).containsExactly(made.text());
    assertThat(made.tokens()).hasSize(1);
  }

  @Test
  void aFullContextEndsIt() {
    Completion made = complete(HOW.withTokens(100000).withTemperature(1));
    assertThat(made.finish()).isIn(Finish.LENGTH, Finish.STOP);
    assertThat(made.promptTokens() + made.tokens().length).isLessThanOrEqualTo(257);
  }

  @Test
  void logprobsAreOfTheLogitsAtEachToken() {
    Completion made = complete(HOW.withTokens(5).withLogprobs(4));
    assertThat(made.logprobs()).hasSize(5);
    int[] prompt = model.tokenizer().encodePrompt("hello");
    float[] logits = model.prompt(model.sequence(), prompt);
    assertThat(made.logprobs().getFirst()).isEqualTo(Logprobs.of(logits, made.tokens()[0], 4));
    for (Logprobs l : made.logprobs()) {
      assertThat(l.top()).hasSize(4);
      assertThat(l.top().getFirst().token()).isEqualTo(l.token());
      assertThat(l.logprob()).isCloseTo(l.top().getFirst().logprob(), within(1e-12));
    }
    assertThat(complete(HOW.withTokens(5).withLogprobs(0)).logprobs().getFirst().top()).isEmpty();
  }

  @Test
  void severalTextsBecomeWhatEachIsAlone() {
    Sampling drawn = HOW.withTemperature(1).withSeed(3).withLogprobs(1);
    List<String> prompts = List.of("hello", "a", "some longer prompt, \u00e9\u00e9", "hello");
    List<Completion> together = model.generate(prompts, drawn);
    assertThat(together).hasSize(4);
    for (int i = 0; i < 4; i++) {
      Completion alone = model.generate(prompts.get(i), drawn, part -> {});
      assertThat(together.get(i).text()).isEqualTo(alone.text());
      assertThat(together.get(i).tokens()).containsExactly(alone.tokens());
      assertThat(together.get(i).finish()).isEqualTo(alone.finish());
      assertThat(together.get(i).logprobs()).isEqualTo(alone.logprobs());
    }
    assertThatThrownBy(() -> model.generate(List.of("a", "\u00e9".repeat(200)), HOW))
        .isInstanceOf(EngineException.class);
  }

  @Test
  void aPromptLongerThanTheContextIsRefused() {
    assertThatThrownBy(() -> model.generate("\u00e9".repeat(200), HOW, part -> {}))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("do not fit into its context of 256");
  }
}
