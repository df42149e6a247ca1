"""Small images of several kinds, from which the fuzzer makes others: python make.py, with Pillow 12."""

from pathlib import Path
from PIL import Image, ImageDraw
def picture(mode, size=(40, 28)):
    im = Image.new('RGB', size)
    for y in range(size[1]):
        for x in range(size[0]):
            im.putpixel((x,y),(x*6%256,(y*9)%256,(x*y)%256))
    ImageDraw.Draw(im).ellipse((5,4,22,20), fill=(250,30,40))
    return im.convert(mode)
d = str(Path(__file__).parent) + '/'
picture('RGB').save(d+'baseline-420.jpg', quality=70, subsampling=2)
picture('RGB').save(d+'progressive-422.jpg', quality=60, subsampling=1, progressive=True)
picture('RGB').save(d+'restart-444.jpg', quality=60, subsampling=0, restart_marker_blocks=3)
picture('L').save(d+'grey.jpg', quality=60)
picture('CMYK').save(d+'cmyk.jpg', quality=50)
ex=Image.Exif(); ex[0x112]=6
picture('RGB',(17,11)).save(d+'exif-6.jpg', quality=50, exif=ex)
picture('RGB').save(d+'rgb.png')
picture('L').save(d+'grey.png')
picture('RGBA').save(d+'rgba.png')
picture('P',(24,16)).quantize(16).save(d+'palette-4-bits.png', bits=4)
picture('1',(19,13)).save(d+'bits.png')
picture('RGB').save(d+'lossy.webp', quality=40)
picture('RGBA',(20,20)).save(d+'lossless-alpha.webp', lossless=True)
picture('RGB',(16,16)).save(d+'animated.webp', save_all=True, append_images=[picture('RGB',(16,16)).rotate(90)], duration=50)
