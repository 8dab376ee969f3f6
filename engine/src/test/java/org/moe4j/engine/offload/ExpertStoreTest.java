package org.moe4j.engine.offload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.model.ExpertSource.Ready;
import org.moe4j.engine.model.ExpertSource.Request;

@Timeout(60)
class ExpertStoreTest {
  @TempDir Path folder;
  private StoredExperts stored;
  private final FaultyDisk disk = new FaultyDisk();

  @BeforeEach
  void write() {
    stored = new StoredExperts(folder.resolve("experts.gguf"));
  }

  @AfterEach
  void close() {
    stored.close();
  }

  private static int[] some(Random random, int count) {
    List<Integer> all = new ArrayList<>(IntStream.range(0, StoredExperts.COUNT).boxed().toList());
    Collections.shuffle(all, random);
    return all.subList(0, count).stream().mapToInt(i -> i).sorted().toArray();
  }

  /** Asks for experts and checks that each comes once and is what the file holds. */
  private void use(ExpertStore store, int layer, int... experts) {
    Set<Integer> seen = new HashSet<>();
    try (Request request = store.request(layer, experts)) {
      for (Ready r = request.next(); !r.experts().isEmpty(); r = request.next()) {
        for (int i = 0; i < r.which().length; i++) {
          int expert = experts[r.which()[i]];
          assertThat(seen.add(expert)).isTrue();
          assertThat(StoredExperts.mark(r.experts().get(i)))
              .containsExactly(stored.mark(layer, expert));
        }
      }
    }
    assertThat(seen).hasSize(experts.length);
  }

  /** Asks for experts without looking at them. */
  private static void take(ExpertStore store, int layer, int... experts) {
    try (Request request = store.request(layer, experts)) {
      Ready r = request.next();
      while (!r.experts().isEmpty()) {
        r = request.next();
      }
    }
  }

  /** The least recently used of a layer in front; those here count before others are let in. */
  private static final class Reference {
    final int capacity;
    final Map<Integer, List<Integer>> held = new HashMap<>();
    int hits;
    int misses;

    Reference(int capacity) {
      this.capacity = capacity;
    }

    void request(int layer, int... experts) {
      List<Integer> now = held.computeIfAbsent(layer, l -> new ArrayList<>());
      List<Integer> missing = new ArrayList<>();
      for (int e : experts) {
        if (now.remove(Integer.valueOf(e))) {
          now.add(e);
        } else {
          missing.add(e);
        }
      }
      hits += experts.length - missing.size();
      misses += missing.size();
      now.addAll(missing);
      now.subList(0, Math.max(0, now.size() - capacity)).clear();
    }
  }

  @ParameterizedTest
  @CsvSource({"8,4,1,8", "4,2,3,4", "15,1,2,8", "2,3,1,16", "1,1,1,5", "16,4,2,16"})
  void hitsAndMissesAreThoseOfAReference(int slots, int spares, int readers, int most) {
    Random random = new Random(slots);
    Reference reference = new Reference(slots);
    try (ExpertStore store = stored.store(StoredExperts.sizes(slots, spares, 0, readers), disk)) {
      for (int i = 0; i < 10_000; i++) {
        int layer = StoredExperts.LAYERS.get(random.nextInt(3));
        int[] experts = some(random, 1 + random.nextInt(most));
        take(store, layer, experts);
        reference.request(layer, experts);
        assertThat(store.held(layer)).isEqualTo(reference.held.get(layer));
      }
      OffloadStatistics s = store.statistics();
      assertThat(s.hits()).isEqualTo(reference.hits);
      assertThat(s.misses()).isEqualTo(reference.misses);
      assertThat(s.guessesRead()).isZero();
    }
  }

  @ParameterizedTest
  @CsvSource({"4,1,1,1", "4,4,2,2", "8,6,3,3", "1,2,2,4", "16,4,4,1"})
  void expertsAreThoseOfTheFileWhateverWasGuessed(int slots, int spares, int ahead, int readers) {
    Random random = new Random(ahead);
    int reads = Math.min(ahead, spares);
    try (ExpertStore store =
        stored.store(StoredExperts.sizes(slots, spares, reads, readers), disk)) {
      for (int i = 0; i < 600; i++) {
        int layer = StoredExperts.LAYERS.get(i % 3);
        if (random.nextBoolean()) {
          store.guess(layer, some(random, 1 + random.nextInt(4)));
        }
        use(store, layer, some(random, 1 + random.nextInt(i % 20 == 0 ? 16 : 4)));
      }
      OffloadStatistics s = store.statistics();
      assertThat(s.guessesUsed()).isLessThanOrEqualTo(s.guessesRead());
      assertThat(s.guessesUsed()).isLessThanOrEqualTo(s.misses());
    }
  }

  @Test
  void bytesReadAreThoseOfMissesWithoutGuessesAndOfGuesses() {
    disk.most = 100;
    Random random = new Random(5);
    try (ExpertStore store = stored.store(StoredExperts.sizes(6, 4, 2, 2), disk)) {
      for (int i = 0; i < 200; i++) {
        store.guess(1, some(random, 2));
        store.awaitQuiet();
        take(store, 1, some(random, 4));
      }
      OffloadStatistics s = store.statistics();
      assertThat(s.guessesUsed()).isBetween(1L, s.guessesRead() - 1);
      assertThat(s.bytesRead())
          .isEqualTo((s.misses() - s.guessesUsed() + s.guessesRead()) * StoredExperts.bytes(1));
    }
  }

  @Test
  void wrongGuessDrivesNothingOutAndARightOneDoesOnce() {
    try (ExpertStore store = stored.store(StoredExperts.sizes(4, 4, 4, 1), disk)) {
      take(store, 1, 0, 1, 2, 3);
      store.guess(1, new int[] {8, 9, 10, 0});
      store.awaitQuiet();
      assertThat(store.held(1)).containsExactly(0, 1, 2, 3);
      take(store, 1, 1);
      assertThat(store.held(1)).containsExactly(0, 2, 3, 1);

      store.guess(1, new int[] {8, 9});
      store.awaitQuiet();
      long reads = disk.reads.get();
      use(store, 1, 1, 8);
      assertThat(disk.reads.get()).isEqualTo((int) reads);
      assertThat(store.held(1)).containsExactly(2, 3, 1, 8);
      OffloadStatistics s = store.statistics();
      assertThat(s.guessesRead()).isEqualTo(5);
      assertThat(s.guessesUsed()).isEqualTo(1);
      assertThat(s.guessesRight()).isEqualTo(1);
      assertThat(s.guessAccuracy()).isEqualTo(0.2);
      assertThat(s.misses()).isEqualTo(5);
    }
  }

  @Test
  void guessesThatDoNotComeTrueAreNotReadAnyMoreUntilTheyDo() {
    try (ExpertStore store = stored.store(StoredExperts.sizes(2, 4, 2, 1), disk)) {
      take(store, 1, 0, 1);
      for (int i = 0; i < 100; i++) {
        store.guess(1, new int[] {5, 6});
        store.awaitQuiet();
        take(store, 1, 0);
      }
      long read = store.statistics().guessesRead();
      assertThat(read).isBetween(2L, 60L);
      for (int i = 0; i < 100; i++) {
        store.guess(1, new int[] {5 + i % 2, 7});
        store.awaitQuiet();
        take(store, 1, 0, 5 + i % 2);
      }
      OffloadStatistics s = store.statistics();
      assertThat(s.guesses()).isBetween(390L, 400L);
      assertThat(s.guessesRight()).isBetween(90L, 100L);
      assertThat(s.guessesRead() - read).isBetween(20L, 80L).isEqualTo(s.guessesUsed());
    }
  }

  @Test
  void guessThatIsStillBeingReadIsWaitedFor() {
    try (ExpertStore store = stored.store(StoredExperts.sizes(4, 4, 4, 1), disk)) {
      disk.allowed.drainPermits();
      store.guess(2, new int[] {5, 6});
      disk.allowed.release(1);
      while (disk.reads.get() < 1) {
        Thread.onSpinWait();
      }
      disk.allowed.release(1000);
      use(store, 2, 4, 5);
      assertThat(store.statistics().guessesUsed()).isEqualTo(1);
      store.awaitQuiet();
      use(store, 2, 5, 6, 7);
    }
  }

  @Test
  void wrongGuessIsGivenUpBetweenItsParts() {
    try (ExpertStore store = stored.store(StoredExperts.sizes(4, 2, 2, 1), disk)) {
      disk.allowed.drainPermits();
      store.guess(1, new int[] {3});
      disk.allowed.release(1);
      while (disk.reads.get() < 1) {
        Thread.onSpinWait();
      }
      try (Request request = store.request(1, new int[] {7})) {
        disk.allowed.release(1000);
        assertThat(request.next().which()).containsExactly(0);
      }
      store.awaitQuiet();
      assertThat(disk.reads.get()).isBetween(4, 5);
      assertThat(store.held(1)).containsExactly(7);
    }
  }

  @Test
  void everyExpertOfALayerIsReadOnceIfAllAreAskedFor() {
    int[] all = IntStream.range(0, StoredExperts.COUNT).toArray();
    try (ExpertStore store = stored.store(StoredExperts.sizes(3, 2, 0, 2), disk)) {
      use(store, 2, all);
      assertThat(disk.reads.get()).isEqualTo(3 * StoredExperts.COUNT);
      assertThat(store.held(2)).hasSize(3); // those that were read last, in whatever order
    }
  }

  @Test
  void nothingIsReadTwiceIfAllFit() {
    Random random = new Random(1);
    int[] all = IntStream.range(0, StoredExperts.COUNT).toArray();
    try (ExpertStore store = stored.store(StoredExperts.sizes(16, 2, 2, 2), disk)) {
      take(store, 4, all);
      int reads = disk.reads.get();
      for (int i = 0; i < 100; i++) {
        store.guess(4, some(random, 5));
        use(store, 4, some(random, 5));
      }
      assertThat(disk.reads.get()).isEqualTo(reads);
    }
  }

  @Test
  void wrongRequestsAreRefused() {
    try (ExpertStore store = stored.store(StoredExperts.sizes(4, 2, 2, 1), disk)) {
      assertThatThrownBy(() -> store.request(1, new int[] {2, 2}))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("2, 2");
      assertThatThrownBy(() -> store.request(1, new int[] {3, 1}))
          .isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> store.request(1, new int[] {16}))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("expert 16 of 16");
      assertThatThrownBy(() -> store.request(3, new int[] {1}))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("layer 3");
      try (Request open = store.request(1, new int[] {1})) {
        assertThatThrownBy(() -> store.request(2, new int[] {1}))
            .isInstanceOf(IllegalStateException.class);
        assertThat(open.next().experts()).hasSize(1);
      }
      use(store, 2, 1);
    }
  }

  @Test
  void requestThatIsGivenUpLeavesTheStoreWhole() {
    Random random = new Random(9);
    try (ExpertStore store = stored.store(StoredExperts.sizes(3, 2, 1, 2), disk)) {
      for (int i = 0; i < 500; i++) {
        try (Request request = store.request(1, some(random, 6))) {
          for (int n = random.nextInt(3); n > 0; n--) {
            request.next();
          }
        }
        store.guess(1, some(random, 1));
      }
      use(store, 1, IntStream.range(0, 16).toArray());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 4, 7, 10, 11})
  void failedReadNamesFileAndTensorAndIsOver(int failing) {
    disk.failing = failing;
    try (ExpertStore store = stored.store(StoredExperts.sizes(4, 2, 2, 2), disk)) {
      assertThatThrownBy(() -> take(store, 1, 1, 5, 9, 12))
          .isInstanceOf(EngineException.class)
          .hasMessageMatching(
              ".*experts.gguf: expert (1|5|9|12) of tensor (gate|up|down).1 cannot be read: .*");
      use(store, 1, 1, 5, 9, 12);
      use(store, 2, IntStream.range(0, 16).toArray());
    }
  }

  @Test
  void failureOfAGuessIsNotToldUnlessItIsNeeded() {
    disk.failing = 0;
    try (ExpertStore store = stored.store(StoredExperts.sizes(4, 2, 2, 1), disk)) {
      store.guess(1, new int[] {3});
      store.awaitQuiet();
      assertThat(disk.reads.get()).isEqualTo(1);
      use(store, 1, 3);
    }
  }

  @Test
  void fileThatWasCutOffIsAClearFailure() throws IOException {
    Path file = folder.resolve("experts.gguf");
    for (boolean direct : new boolean[] {false, true}) {
      Disk real = direct ? ChannelDisk.DIRECT : ChannelDisk.CACHED;
      try (StoredExperts whole = new StoredExperts(file);
          ExpertStore store = whole.store(StoredExperts.sizes(4, 2, 0, 2), real)) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
          channel.truncate(whole.file.place(whole.file.tensor("down.4")).offset() + 10_000);
        }
        use(store, 4, 0);
        assertThatThrownBy(() -> take(store, 4, 15))
            .isInstanceOf(EngineException.class)
            .hasMessageContaining("experts.gguf: expert 15 of tensor down.4 ends after 0 of 6528");
        use(store, 4, 0);
      }
    }
  }

  @Test
  void expertsReadPastTheCacheAreTheSame() {
    try (ExpertStore store = stored.store(StoredExperts.sizes(4, 4, 0, 3), ChannelDisk.DIRECT)) {
      for (int layer : StoredExperts.LAYERS) {
        use(store, layer, IntStream.range(0, StoredExperts.COUNT).toArray());
      }
    }
  }

  @Test
  void closedStoreRefuses() {
    ExpertStore store = stored.store(StoredExperts.sizes(4, 2, 2, 2), disk);
    store.guess(1, new int[] {3, 4});
    store.close();
    store.close();
    assertThatThrownBy(() -> store.request(1, new int[] {3})).isInstanceOf(EngineException.class);
  }
}
