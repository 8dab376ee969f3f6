package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.moe4j.engine.TinyModels.text;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.engine.Generation.End;

class BatchTest {
  @TempDir Path folder;

  private Engine model;

  /** Remembers what it is told. */
  private static class Told implements Generation.Listener {
    final List<Integer> tokens = new ArrayList<>();
    final CountDownLatch ended = new CountDownLatch(1);
    private final IntPredicate more;

    Told() {
      this(token -> true);
    }

    Told(IntPredicate more) {
      this.more = more;
    }

    @Override
    public boolean token(int token, float[] logits) {
      assertThat(ended.getCount()).as("a token behind the end").isOne();
      tokens.add(token);
      return more.test(token);
    }

    @Override
    public void end(Generation text) {
      assertThat(ended.getCount()).as("two ends").isOne();
      assertThat(text.end()).isPresent();
      ended.countDown();
    }

    int[] made() {
      return tokens.stream().mapToInt(i -> i).toArray();
    }
  }

  @BeforeEach
  void open() throws Exception {
    model = Engine.open(TinyModels.path("olmoe-q4_0"));
  }

  @AfterEach
  void close() {
    model.close();
  }

  private static Sampling length(int tokens) {
    return Sampling.GREEDY.withTokens(tokens);
  }

  private static void finish(Batch batch) {
    while (batch.size() > 0) {
      batch.step();
    }
  }

  @Test
  void everyTextIsTheSameAsAlone() {
    Random random = new Random(1);
    List<int[]> prompts = new ArrayList<>();
    List<Sampling> hows = new ArrayList<>();
    List<int[]> expected = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      prompts.add(text(i, random.nextInt(1, 120)));
      hows.add(
          length(random.nextInt(1, 40))
              .withTemperature(i % 3)
              .withLimits(20, 0.9f, 0)
              .withRepetition(1.1f, 16)
              .withSeed(i)
              .withStop(Set.of(i, 200 + i)));
      expected.add(model.generate(prompts.get(i), hows.get(i), token -> true));
    }
    try (Batch batch = model.batch(new BatchOptions(5, 20, 10))) {
      List<Told> told = new ArrayList<>();
      List<Generation> texts = new ArrayList<>();
      for (int i = 0; i < prompts.size(); i++) {
        told.add(new Told());
        texts.add(batch.add(prompts.get(i), hows.get(i), told.get(i)));
        batch.step();
      }
      finish(batch);
      for (int i = 0; i < prompts.size(); i++) {
        assertThat(told.get(i).made()).containsExactly(expected.get(i));
        assertThat(texts.get(i).madeTokens()).isEqualTo(expected.get(i).length);
        assertThat(texts.get(i).promptTokens()).isEqualTo(prompts.get(i).length);
        boolean full = expected.get(i).length == hows.get(i).tokens();
        assertThat(texts.get(i).end().orElseThrow()).isEqualTo(full ? End.LENGTH : End.STOP);
      }
    }
    assertThat(model.cacheStatistics().bytes()).isZero();
  }

  @Test
  void writersGoOnWhileALongPromptIsRead() {
    try (Batch batch = model.batch(new BatchOptions(4, 20, 10))) {
      Told writer = new Told();
      batch.add(text(1, 5), length(100), writer);
      batch.step();
      Told reader = new Told();
      Generation late = batch.add(text(2, 95), length(1), reader);
      for (int step = 1; step <= 10; step++) {
        assertThat(late.end()).isEmpty();
        batch.step();
        assertThat(writer.tokens).hasSize(1 + step);
      }
      assertThat(late.end()).contains(End.LENGTH);
      assertThat(reader.tokens).hasSize(1);
    }
  }

  @Test
  void cancelTakesEffectWithinAStep() {
    try (Batch batch = model.batch(BatchOptions.DEFAULT)) {
      Told first = new Told();
      Told second = new Told();
      Generation given = batch.add(text(1, 50), length(100), first);
      Generation kept = batch.add(text(2, 5), length(10), second);
      batch.step();
      batch.step();
      given.cancel();
      batch.step();
      assertThat(given.end()).contains(End.CANCELLED);
      assertThat(first.tokens).hasSize(2);
      finish(batch);
      assertThat(kept.end()).contains(End.LENGTH);
      assertThat(second.made()).isEqualTo(model.generate(text(2, 5), length(10), t -> true));
    }
  }

  @Test
  void aTextThatWaitsCanBeCancelledAndOneOfNoTokensEnds() {
    try (Batch batch = model.batch(new BatchOptions(1, 20, 10))) {
      batch.add(text(1, 5), length(3), new Told());
      Generation waiting = batch.add(text(1, 5), length(3), new Told());
      Generation empty = batch.add(text(1, 5), length(0), new Told());
      waiting.cancel();
      finish(batch);
      assertThat(waiting.end()).contains(End.CANCELLED);
      assertThat(waiting.madeTokens()).isZero();
      assertThat(empty.end()).contains(End.LENGTH);
    }
  }

  @Test
  void aListenerCanEndItsTextAndOneThatThrowsEndsItsOwnAlone() {
    try (Batch batch = model.batch(BatchOptions.DEFAULT)) {
      Generation told = batch.add(text(1, 5), length(10), new Told(token -> false));
      Generation thrown =
          batch.add(
              text(2, 5),
              length(10),
              new Told(
                  token -> {
                    throw new IllegalStateException("lost");
                  }));
      Generation other = batch.add(text(3, 5), length(10), new Told());
      finish(batch);
      assertThat(told.end()).contains(End.LISTENER);
      assertThat(told.madeTokens()).isOne();
      assertThat(thrown.end()).contains(End.FAILED);
      assertThat(thrown.failure().orElseThrow()).hasMessageContaining("lost");
      assertThat(other.end()).contains(End.LENGTH);
    }
    assertThat(model.cacheStatistics().bytes()).isZero();
  }

  @Test
  void closeCancelsEverythingAlsoFromAListener() {
    Batch batch = model.batch(new BatchOptions(2, 20, 10));
    List<Told> told = new ArrayList<>(List.of(new Told(), new Told()));
    Told closing =
        new Told(
            token -> {
              batch.close();
              return true;
            });
    told.add(0, closing);
    List<Generation> texts = told.stream().map(t -> batch.add(text(1, 5), length(10), t)).toList();
    batch.step();
    assertThat(texts).allMatch(t -> t.end().equals(java.util.Optional.of(End.CANCELLED)));
    assertThat(batch.size()).isZero();
    assertThat(batch.step()).isFalse();
    batch.run();
    assertThatThrownBy(() -> batch.add(text(1, 5), length(10), new Told()))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("closed");
    assertThat(model.cacheStatistics().bytes()).isZero();
  }

  @Test
  void badRequestsAreRefusedWhenTheyAreAdded() {
    try (Batch batch = model.batch(BatchOptions.DEFAULT)) {
      Told told = new Told();
      assertThatThrownBy(() -> batch.add(new int[0], length(1), told))
          .hasMessageContaining("a prompt needs at least one");
      assertThatThrownBy(() -> batch.add(text(1, 257), length(1), told))
          .hasMessageContaining("do not fit into its context of 256");
      assertThatThrownBy(() -> batch.add(new int[] {288}, length(1), told))
          .hasMessageContaining("not in its vocabulary");
      Generation full = batch.add(text(1, 256), length(1000), told);
      finish(batch);
      assertThat(full.end()).contains(End.LENGTH);
      assertThat(told.tokens).hasSize(1);
    }
  }

  /** A page of 64 tokens of this model: 2 layers, 2 heads, keys and values of 32 halves. */
  private static final long PAGE = 64L * 2 * 2 * 2 * 32 * 2;

  @Test
  void textsWaitForMemoryAndOneThatCanNeverFitIsRefused() throws Exception {
    EngineOptions small = EngineOptions.DEFAULT.withCache(3 * PAGE, 0);
    try (Engine tight = Engine.open(TinyModels.path("olmoe-q4_0"), small);
        Batch batch = tight.batch(BatchOptions.DEFAULT)) {
      assertThatThrownBy(() -> batch.add(text(1, 100), length(94), new Told()))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("193 tokens take " + 4 * PAGE + " bytes")
          .hasMessageContaining("more than the " + 3 * PAGE);
      List<Told> told = List.of(new Told(), new Told(), new Told(), new Told());
      List<Generation> texts =
          told.stream().map(t -> batch.add(text(1, 60), length(69), t)).toList();
      while (batch.size() > 0) {
        assertThat(batch.step()).isTrue();
        assertThat(tight.cacheStatistics().bytes()).isLessThanOrEqualTo(3 * PAGE);
      }
      assertThat(texts).allMatch(t -> t.end().equals(java.util.Optional.of(End.LENGTH)));
      int[] expected = model.generate(text(1, 60), length(69), t -> true);
      assertThat(told).allSatisfy(t -> assertThat(t.made()).containsExactly(expected));
    }
  }

  @Test
  void textsThatBeginAlikeShareWhatIsKept() throws Exception {
    EngineOptions keeping = EngineOptions.DEFAULT.withCache(6 * PAGE, 4 * PAGE);
    try (Engine kept = Engine.open(TinyModels.path("olmoe-q4_0"), keeping);
        Batch batch = kept.batch(new BatchOptions(1, 20, 10))) {
      int[] prompt = text(5, 150);
      List<Told> told = List.of(new Told(), new Told(), new Told());
      List<Generation> texts = told.stream().map(t -> batch.add(prompt, length(20), t)).toList();
      finish(batch);
      assertThat(texts.stream().map(Generation::reusedTokens)).containsExactly(0, 149, 149);
      int[] expected = model.generate(prompt, length(20), t -> true);
      assertThat(told).allSatisfy(t -> assertThat(t.made()).containsExactly(expected));
      assertThat(kept.cacheStatistics().hits()).isEqualTo(2);
      assertThat(kept.cacheStatistics().lookups()).isEqualTo(3);
      assertThat(kept.cacheStatistics().reusedTokens()).isEqualTo(298);
      assertThat(kept.cacheStatistics().keptBytes()).isEqualTo(3 * PAGE);
    }
  }

  @Test
  void aModelThatIsClosedEndsItsTexts() {
    try (Batch batch = model.batch(BatchOptions.DEFAULT)) {
      Generation text = batch.add(text(1, 5), length(10), new Told());
      batch.step();
      Generation late = batch.add(text(1, 5), length(10), new Told());
      model.close();
      finish(batch);
      assertThat(text.failure().orElseThrow()).hasMessageContaining("is closed");
      assertThat(late.failure().orElseThrow()).hasMessageContaining("is closed");
    }
  }

  /** Many threads add and cancel while one steps; each text ends once, and as if alone. */
  @Test
  void addingAndCancellingFromManyThreads() throws Exception {
    int[] expected = model.generate(text(9, 30), length(25), t -> true);
    Batch batch = model.batch(new BatchOptions(6, 40, 20));
    AtomicReference<Throwable> failed = new AtomicReference<>();
    Thread stepper = Thread.ofPlatform().start(batch::run);
    List<Thread> users = new ArrayList<>();
    for (int user = 0; user < 6; user++) {
      Random random = new Random(user);
      users.add(
          Thread.ofPlatform()
              .uncaughtExceptionHandler((t, e) -> failed.set(e))
              .start(() -> use(batch, expected, random)));
    }
    for (Thread user : users) {
      user.join();
    }
    batch.close();
    stepper.join();
    assertThat(failed.get()).isNull();
    assertThat(model.cacheStatistics().bytes()).isZero();
  }

  private static void use(Batch batch, int[] expected, Random random) {
    for (int i = 0; i < 8; i++) {
      int enough = random.nextInt(1, 60);
      AtomicReference<Generation> self = new AtomicReference<>();
      CountDownLatch added = new CountDownLatch(1);
      List<Integer> seen = new ArrayList<>();
      Told told =
          new Told(
              token -> {
                seen.add(token);
                await(added);
                if (seen.size() == enough) {
                  self.get().cancel();
                }
                return true;
              });
      self.set(batch.add(text(9, 30), length(25), told));
      added.countDown();
      if (random.nextInt(4) == 0) {
        self.get().cancel();
      }
      await(told.ended);
      assertThat(told.made()).containsExactly(Arrays.copyOf(expected, told.tokens.size()));
      if (self.get().end().equals(java.util.Optional.of(End.LENGTH))) {
        assertThat(told.made()).hasSize(25);
      } else {
        assertThat(self.get().end()).contains(End.CANCELLED);
        assertThat(told.tokens).hasSizeLessThanOrEqualTo(enough);
      }
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(60, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
