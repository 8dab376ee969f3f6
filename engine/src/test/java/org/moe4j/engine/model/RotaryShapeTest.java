package org.moe4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.Metadata;

class RotaryShapeTest {
  private static RotaryShape of(Architecture architecture, Map<String, Object> rope) {
    Map<String, Object> all = new HashMap<>();
    all.put(architecture.label() + ".context_length", 163840L);
    rope.forEach((key, value) -> all.put(architecture.label() + ".rope." + key, value));
    return RotaryShape.of("file", new Metadata("file", all), architecture, 64);
  }

  /** DeepSeek-V2's own figures: pairs up to 10 turn as before, those from 23 on 40 times slower. */
  @Test
  void yarnOfDeepSeekKeepsFastPairsAndSharpensAttention() {
    RotaryShape shape =
        of(
            Architecture.DEEPSEEK2,
            Map.of(
                "scaling.type",
                "yarn",
                "scaling.factor",
                40.0,
                "scaling.original_context_length",
                4096L,
                "scaling.yarn_log_multiplier",
                0.0707));
    double[] speeds = shape.speeds(new float[0]);
    assertThat(speeds[0]).isEqualTo(1);
    assertThat(speeds[10]).isCloseTo(0.0562341, within(1e-7));
    assertThat(speeds[23]).isCloseTo(Math.pow(10000, -46 / 64.0) / 40, within(1e-12));
    assertThat(speeds[16]).isCloseTo(0.01 * (7 / 13.0 + 6 / 13.0 / 40), within(1e-9));
    assertThat(shape.magnitude()).isEqualTo(1);
    assertThat(shape.sharpness()).isCloseTo(1.58962, within(1e-4));
  }

  @Test
  void yarnOfOthersMakesRotatedNumbersLarger() {
    RotaryShape shape =
        of(Architecture.GPT_OSS, Map.of("scaling.type", "yarn", "scaling.factor", 32.0));
    assertThat(shape.magnitude()).isCloseTo(1.34657, within(1e-5));
    assertThat(shape.sharpness()).isCloseTo(shape.magnitude() * shape.magnitude(), within(1e-9));
  }

  @Test
  void factorWithoutATypeDividesAllSpeeds() {
    RotaryShape shape = of(Architecture.LLAMA, Map.of("scaling.factor", 4.0));
    assertThat(shape.speeds(new float[0])[0]).isEqualTo(0.25);
    assertThat(of(Architecture.LLAMA, Map.of("scaling.type", "none", "scaling.factor", 4.0)))
        .isEqualTo(of(Architecture.LLAMA, Map.of()));
  }

  @Test
  void scalingThatIsNotKnownIsRefusedWithThoseThatAre() {
    assertThatThrownBy(() -> of(Architecture.LLAMA, Map.of("scaling.type", "dynamic")))
        .isInstanceOf(EngineException.class)
        .hasMessage(
            "file: rotary scaling dynamic is not supported; known: none, linear, yarn, longrope");
    assertThatThrownBy(() -> of(Architecture.LLAMA, Map.of("scaling.factor", -1.0)))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("factor is -1.0, expected more than 0");
  }
}
