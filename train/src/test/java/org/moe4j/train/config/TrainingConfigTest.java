package org.moe4j.train.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.tensor.MoeException;

class TrainingConfigTest {
  @TempDir private Path folder;

  private TrainingConfig read(String toml, String... overrides) {
    return TrainingConfig.read(file(toml.getBytes(StandardCharsets.UTF_8)), List.of(overrides));
  }

  private Path file(byte[] bytes) {
    try {
      return Files.write(folder.resolve("train.toml"), bytes);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private void assertRefused(String message, String toml, String... overrides) {
    assertThatThrownBy(() -> read(toml, overrides))
        .isInstanceOf(MoeException.class)
        .extracting(e -> e.getMessage().replace(folder + "/", ""))
        .isEqualTo(message);
  }

  @Test
  void anEmptyFileIsTheDefaults() {
    assertThat(read("")).isEqualTo(TrainingConfig.defaults());
  }

  @Test
  void keysReplaceDefaultsAndOverridesReplaceKeys() {
    TrainingConfig config =
        read(
            """
            [model]
            hidden = 64
            norm = "layernorm"
            [moe]
            experts = 8
            scale = 2
            options = { noise = 0.5, kind = "a" }
            [train]
            learning-rate = 1e-3
            """,
            "moe.experts=32",
            "moe.options.noise=1e-2",
            "model.norm=rmsnorm",
            "run.name=2026-01-02",
            "run.dir=/tmp/a b",
            "data.domain-field=true",
            "data.source=[\"a.txt\", \"b\"]",
            "model.tie-embeddings=false");
    assertThat(config.model().hidden()).isEqualTo(64);
    assertThat(config.model().norm()).isEqualTo(ModelSection.Norm.RMSNORM);
    assertThat(config.model().tieEmbeddings()).isFalse();
    assertThat(config.moe().experts()).isEqualTo(32);
    assertThat(config.moe().scale()).contains(2.0);
    assertThat(config.moe().options()).isEqualTo(Map.of("noise", "1e-2", "kind", "a"));
    assertThat(config.train().learningRate()).isEqualTo(1e-3);
    assertThat(config.run().folder()).isEqualTo(Path.of("/tmp/a b/2026-01-02"));
    assertThat(config.data().domainField()).contains("true");
    assertThat(config.data().source()).containsExactly("a.txt", "b");
  }

  @Test
  void aLoneValueIsAListOfOneAndAnEmptyOverrideUnsets() {
    TrainingConfig config =
        read("[data]\nsource = 'a.csv'\nquery = 'select 1'", "data.source=b.csv", "data.query=");
    assertThat(config.data().source()).containsExactly("b.csv");
    assertThat(config.data().query()).isEmpty();
  }

  @Test
  void whatIsWrittenReadsBackEqual() {
    TrainingConfig config =
        TrainingConfig.defaults()
            .with(
                List.of(
                    "data.source=a \"quoted\" \\ path\tand é",
                    "data.query=select 'x'",
                    "data.tokenizer=t/tokenizer.json",
                    "moe.dispatcher=capacity",
                    "moe.capacity-factor=1.25",
                    "moe.options.jitter=0.01",
                    "moe.options.a key=b",
                    "run.seed=-9007199254740993",
                    "train.eps=1e-20",
                    "train.learning-rate=0.30000000000000004"));
    assertThat(read(config.toToml())).isEqualTo(config);
    assertThat(read(TrainingConfig.defaults().toToml())).isEqualTo(TrainingConfig.defaults());
  }

  @Test
  void everyKeyIsDocumentedAboveIt() {
    String toml = TrainingConfig.defaults().toToml();
    assertThat(toml)
        .contains("# Routed experts of a layer. A whole number of at least 1")
        .contains("One of rmsnorm, layernorm.\nnorm = ")
        .contains("\n# capacity-factor =\n");
    List<String> lines = toml.lines().toList();
    for (int i = 0; i < lines.size(); i++) {
      assertThat(lines.get(i).length()).isLessThanOrEqualTo(98);
      if (!lines.get(i).isEmpty() && !lines.get(i).startsWith("#")) {
        assertThat(lines.get(i - 1)).as("the line above %s", lines.get(i)).startsWith("# ");
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          [moe]~expert = 8      | train.toml: [moe] has no key 'expert'; did you mean 'experts'?
          [moe]~top_k = 8       | train.toml: [moe] has no key 'top_k'; did you mean 'top-k'?
          [model]~experts = 8   | train.toml: [model] has no key 'experts'; did you mean [moe] experts?
          steps = 8             | train.toml: no key 'steps' outside of a section; did you mean [train] steps?
          [modle]~hidden = 8    | train.toml: no section [modle]; did you mean [model]?
          [zzz]~hidden = 8      | train.toml: no section [zzz]; known: run, data, model, moe, train
          moe = 3               | train.toml: [moe] is a section: write its keys below a line [moe]
          [train]~steps = 0     | train.toml: [train] steps = 0: a whole number of at least 1 is expected
          [train]~steps = 2.0   | train.toml: [train] steps = 2.0: a whole number of at least 1 is expected
          [train]~steps = 1e99  | train.toml: [train] steps = 1E+99: a whole number of at least 1 is expected
          [train]~steps = "x"   | train.toml: [train] steps = "x": a whole number of at least 1 is expected
          [train]~steps = 99999999999 | train.toml: [train] steps = 99999999999: a whole number of at least 1 is expected
          [train]~beta1 = 1     | train.toml: [train] beta1 = 1: a number of at least 0 and below 1 is expected
          [train]~clip = nan    | train.toml: [train] clip = "NaN": a number of at least 0 is expected
          [model]~norm = "rmsnrm" | train.toml: [model] norm = "rmsnrm": one of rmsnorm, layernorm is expected; did you mean 'rmsnorm'?
          [model]~qk-norm = 1   | train.toml: [model] qk-norm = 1: true or false is expected
          [run]~name = 3        | train.toml: [run] name = 3: a text in quotes is expected
          [data]~source = [1]   | train.toml: [data] source = [1]: a text in quotes, or a list of such is expected
          [model]~heads = 3     | train.toml: [model] heads = 3 does not divide hidden = 256; change one of them
          [model]~kv-heads = 3  | train.toml: [model] kv-heads = 3 does not divide heads = 4; change one of them
          [moe]~top-k = 17      | train.toml: [moe] top-k = 17 is more than experts = 16; lower top-k
          [moe]~capacity-factor = 1.25 | train.toml: [moe] capacity-factor does not go with dispatcher = "dropless", which drops nothing; leave it out or use dispatcher = "capacity"
          [moe]~capacity-policy = "mesh" | train.toml: [moe] capacity-policy does not go with dispatcher = "dropless", which drops nothing; leave it out or use dispatcher = "capacity"
          [moe]~dispatcher = "capacity" | train.toml: [moe] dispatcher = "capacity" needs a capacity-factor, for example 1.25
          [moe]~options = [1]   | train.toml: [moe.options] is a section: write its keys below a line [moe.options]
          [train]~warmup = 900  | train.toml: [train] warmup = 900 is longer than steps = 640; shorten it
          [run]~name = "a/b"    | train.toml: [run] name 'a/b' must be letters, digits, '.', '_' and '-' only; it becomes a folder
          [data]~query = "q"    | train.toml: [data] query selects from files, but source is "wordnet"; name the files in source
          """)
  void aBadFileIsRefusedInOneLine(String toml, String message) {
    assertRefused(message, toml.replace('~', '\n'));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          moe.expert=3    | --set moe.expert=3: [moe] has no key 'expert'; did you mean 'experts'?
          train.steps=ten | --set train.steps=ten: [train] steps = ten: a whole number of at least 1 is expected
          train.steps=    | --set train.steps=: [train] steps = : a whole number of at least 1 is expected
          moe=3           | --set moe=3: [moe] is a section: write its keys below a line [moe]
          model.norm.x=1  | --set model.norm.x=1: [model] norm = {...}: one of rmsnorm, layernorm is expected
          mo.experts=3    | --set mo.experts=3: no section [mo]; did you mean [moe]?
          steps           | --set steps: the form section.key=value is expected, as in train.steps=100
          a..b=3          | --set a..b=3: the form section.key=value is expected, as in train.steps=100
          """)
  void aBadOverrideIsRefusedInOneLine(String override, String message) {
    assertRefused(message, "", override);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          [model]~hidden = = 3    | 2
          [model]~hidden = 3~x    | 3
          [model]~[model]         | 2
          [model~hidden = 3       | 1
          a = 1~a = 2             | 2
          """)
  void aSyntaxErrorNamesItsLine(String toml, int line) {
    assertThatThrownBy(() -> read(toml.replace('~', '\n')))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("train.toml, line " + line + ": ")
        .message()
        .hasLineCount(1);
  }

  @Test
  void hostileFilesAreRefusedInOneLine() throws IOException {
    byte[] latin1 = "[run]\nname = 'caf\u00e9'".getBytes(StandardCharsets.ISO_8859_1);
    assertThatThrownBy(() -> TrainingConfig.read(file(latin1), List.of()))
        .isInstanceOf(MoeException.class)
        .hasMessageEndingWith("train.toml: not UTF-8 text; save the file as UTF-8");
    assertThatThrownBy(() -> TrainingConfig.read(file(new byte[2 << 20]), List.of()))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("too large");
    assertThatThrownBy(() -> TrainingConfig.read(folder, List.of()))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("not a file");
    assertThatThrownBy(() -> TrainingConfig.read(folder.resolve("no.toml"), List.of()))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("no such configuration file");
    for (String nested : List.of("x = " + "[".repeat(500_000), "x = " + "{a=".repeat(300_000))) {
      assertThatThrownBy(() -> read(nested))
          .isInstanceOf(MoeException.class)
          .message()
          .hasLineCount(1)
          .hasSizeLessThan(400);
    }
  }

  @Test
  void aConfigurationMadeInJavaIsCheckedToo() {
    TrainingConfig d = TrainingConfig.defaults();
    MoeSection m = d.moe();
    MoeSection broken =
        new MoeSection(
            m.router(),
            m.experts(),
            m.topK(),
            m.expertFfn(),
            m.sharedExperts(),
            m.renormalise(),
            m.scale(),
            MoeSection.Dispatcher.CAPACITY,
            Optional.of(-1.0),
            m.dropOrder(),
            m.capacityPolicy(),
            m.groupSize(),
            m.activation(),
            m.init(),
            m.balanceLoss(),
            m.losses(),
            m.zLoss(),
            m.allowLeaks(),
            m.options());
    assertThatThrownBy(() -> new TrainingConfig(d.run(), d.data(), d.model(), broken, d.train()))
        .isInstanceOf(MoeException.class)
        .hasMessage(
            "[moe] capacity-factor = -1.0: a number above 0 and at most 1000000 is expected");
  }
}
