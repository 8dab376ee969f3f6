package org.moe4j.lab;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.GradientPaint;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.Shape;
import java.awt.geom.AffineTransform;
import java.awt.geom.Area;
import java.awt.geom.Ellipse2D;
import java.awt.geom.Line2D;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * A picture of one shape with a texture, the two of which are its label: turned, scaled, moved and
 * coloured by chance, over a background with lines that are in the way, and noisy.
 */
final class ShapeDrawing {
  /** Width and height in pixels. */
  static final int SIZE = 32;

  private static final int NOISE = 12;
  private static final int STRAY_LINES = 1;

  /** What is drawn. */
  enum Form {
    DISC,
    RING,
    SQUARE,
    TRIANGLE,
    PENTAGON,
    STAR,
    CROSS,
    CRESCENT,
    HEART,
    ARROW,
    BAR,
    HALF
  }

  /** How it is filled. */
  enum Texture {
    PLAIN,
    OUTLINED,
    STRIPED,
    DOTTED
  }

  /** Labels that there are. */
  static final int LABELS = Form.values().length * Texture.values().length;

  private ShapeDrawing() {}

  /** A label in words: {@code striped star}. */
  static String caption(int label) {
    return (texture(label) + " " + form(label)).toLowerCase(Locale.ROOT);
  }

  private static Form form(int label) {
    return Form.values()[label / Texture.values().length];
  }

  private static Texture texture(int label) {
    return Texture.values()[label % Texture.values().length];
  }

  /** A picture of this label: rows of pixels, red, green and blue a byte each. */
  static byte[] draw(int label, SplittableRandom random) {
    BufferedImage image = new BufferedImage(SIZE, SIZE, BufferedImage.TYPE_INT_RGB);
    Graphics2D g = image.createGraphics();
    try {
      g.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
      double light = random.nextDouble(0, 0.3);
      background(g, light, random);
      AffineTransform place = new AffineTransform();
      double radius = SIZE * random.nextDouble(0.33, 0.4);
      place.translate(SIZE * random.nextDouble(0.45, 0.55), SIZE * random.nextDouble(0.45, 0.55));
      place.rotate(random.nextDouble(-0.2, 0.2));
      place.scale(radius * random.nextDouble(0.9, 1), radius);
      Area shape = outline(form(label)).createTransformedArea(place);
      g.setColor(colour(random.nextDouble(0.7, 1), random));
      paint(g, shape, texture(label), random);
    } finally {
      g.dispose();
    }
    return noisy(image.getRGB(0, 0, SIZE, SIZE, null, 0, SIZE), random);
  }

  private static void background(Graphics2D g, double light, SplittableRandom random) {
    g.setPaint(
        new GradientPaint(
            0,
            random.nextInt(SIZE),
            colour(light, random),
            SIZE,
            random.nextInt(SIZE),
            colour(light, random)));
    g.fillRect(0, 0, SIZE, SIZE);
    for (int i = random.nextInt(STRAY_LINES + 1); i > 0; i--) {
      g.setColor(colour(random.nextDouble(0.3, 1), random));
      g.draw(
          new Line2D.Double(
              random.nextInt(SIZE),
              random.nextInt(SIZE),
              random.nextInt(SIZE),
              random.nextInt(SIZE)));
    }
  }

  private static Color colour(double light, SplittableRandom random) {
    return Color.getHSBColor(
        (float) random.nextDouble(),
        (float) random.nextDouble(0.1, 0.7),
        (float) (0.15 + 0.85 * light));
  }

  private static void paint(Graphics2D g, Area shape, Texture texture, SplittableRandom random) {
    switch (texture) {
      case PLAIN -> g.fill(shape);
      case OUTLINED -> {
        g.setStroke(new BasicStroke(1.4f));
        g.draw(shape);
      }
      case STRIPED -> {
        g.setClip(shape);
        int phase = random.nextInt(4);
        for (int y = phase - 4; y < SIZE; y += 4) {
          g.fillRect(0, y, SIZE, 2);
        }
      }
      case DOTTED -> {
        g.setClip(shape);
        int phase = random.nextInt(4);
        for (int y = phase - 4; y < SIZE; y += 4) {
          for (int x = phase - 4; x < SIZE; x += 4) {
            g.fillRect(x, y, 2, 2);
          }
        }
      }
    }
  }

  /** The form inside the unit circle. */
  private static Area outline(Form form) {
    return switch (form) {
      case DISC -> disc(0, 0, 1);
      case RING -> without(disc(0, 0, 1), disc(0, 0, 0.55));
      case SQUARE -> box(-0.8, -0.8, 1.6, 1.6);
      case TRIANGLE -> new Area(polygon(3, 1));
      case PENTAGON -> new Area(polygon(5, 1));
      case STAR -> new Area(polygon(5, 0.4));
      case CROSS -> with(box(-0.3, -1, 0.6, 2), box(-1, -0.3, 2, 0.6));
      case CRESCENT -> without(disc(0, 0, 1), disc(0.5, 0, 0.85));
      case HEART -> heart();
      case ARROW -> with(box(-0.25, -0.1, 0.5, 1.1), triangle());
      case BAR -> box(-1, -0.35, 2, 0.7);
      case HALF -> without(disc(0, 0, 1), box(-1, 0, 2, 1));
    };
  }

  private static Area disc(double x, double y, double r) {
    return new Area(new Ellipse2D.Double(x - r, y - r, 2 * r, 2 * r));
  }

  private static Area box(double x, double y, double width, double height) {
    return new Area(new Rectangle2D.Double(x, y, width, height));
  }

  private static Area with(Area a, Area b) {
    a.add(b);
    return a;
  }

  private static Area without(Area a, Area b) {
    a.subtract(b);
    return a;
  }

  private static Area triangle() {
    return new Area(closed(0, -1, 0.8, 0, -0.8, 0));
  }

  private static Area heart() {
    return with(
        with(disc(-0.45, -0.35, 0.5), disc(0.45, -0.35, 0.5)),
        new Area(closed(-0.92, -0.15, 0.92, -0.15, 0, 1)));
  }

  /** {@code corners} corners on the unit circle, between them one at {@code inner} if below 1. */
  private static Shape polygon(int corners, double inner) {
    int points = inner < 1 ? 2 * corners : corners;
    double[] xy = new double[2 * points];
    for (int i = 0; i < points; i++) {
      double r = inner < 1 && i % 2 == 1 ? inner : 1;
      double angle = 2 * Math.PI * i / points - Math.PI / 2;
      xy[2 * i] = r * Math.cos(angle);
      xy[2 * i + 1] = r * Math.sin(angle);
    }
    return closed(xy);
  }

  private static Path2D closed(double... xy) {
    Path2D path = new Path2D.Double();
    path.moveTo(xy[0], xy[1]);
    for (int i = 2; i < xy.length; i += 2) {
      path.lineTo(xy[i], xy[i + 1]);
    }
    path.closePath();
    return path;
  }

  private static byte[] noisy(int[] pixels, SplittableRandom random) {
    byte[] bytes = new byte[3 * pixels.length];
    for (int i = 0; i < bytes.length; i++) {
      int value = pixels[i / 3] >> (16 - 8 * (i % 3)) & 0xff;
      int moved = value + random.nextInt(-NOISE, NOISE + 1);
      bytes[i] = (byte) Math.clamp(moved, 0, 255);
    }
    return bytes;
  }
}
