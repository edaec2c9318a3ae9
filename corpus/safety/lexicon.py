"""Phrases that pages of three trades are made of: adult, gambling, spam; English and Chinese.

These are phrases of the trade, of shops and their doorway pages, and not of the subject: a medical text says "sexual"
and an economist "casino", so single words are here only where hardly anybody else uses them. A document is judged by
the share of its words that lie inside such phrases, never by one of them. Each string holds phrases separated by
commas; case, width and punctuation inside a phrase do not matter (`corpus.kernels.words`).
"""

ADULT = """
porn, porno, pornhub, xvideos, xhamster, xnxx, redtube, youporn, milf, milfs, gangbang, creampie, blowjob, blowjobs,
handjob, cumshot, cumshots, deepthroat, bukkake, hentai, camgirl, camgirls, sex cams, live sex, sex chat, free sex,
sex video, sex videos, sex tube, sex movies, sex toys, sex dolls, adult dating, adult videos, nude girls, naked girls,
nude pics, hot babes, horny, busty, big tits, big boobs, big cock, hardcore sex, anal sex, oral sex videos,
escort service, escort girls, call girls, call girl service, erotic massage, xxx, threesome, hookup sites,
onlyfans leaked, upskirt, 成人网站, 成人视频, 成人电影, 成人影院, 成人小说, 成人图片, 成人论坛, 色情, 黄色网站,
黄色视频, 黄片, 毛片, 三级片, 情色, 无码, 有码, 中文字幕在线, 自拍偷拍, 偷拍自拍, 国产自拍, 国产精品视频, 亚洲无码,
欧美无码, 日韩无码, 亚洲色图, 欧美色图, 日本av, 国产av, av在线, av女优, 制服丝袜, 丝袜美腿, 巨乳, 人妻, 熟女, 乱伦,
强奸系列, 做爱, 口交, 肛交, 自慰, 内射, 颜射, 潮吹, 约炮, 一夜情, 援交, 裸聊, 裸体写真, 激情视频, 激情小说, 免费看片,
在线看片, 福利视频, 色播, 撸管, 淫荡, 淫水, 性爱视频, 性服务, 上门服务小姐, 楼凤, 同城约会美女, 草榴, 一本道,
久久精品, 麻豆传媒
"""

GAMBLING = """
online casino, online casinos, casino bonus, casino games, live casino, mobile casino, best casino, no deposit bonus,
deposit bonus, free spins, slot machine, slot machines, online slots, slot games, video poker, online poker,
poker rooms, online betting, sports betting, betting site, betting sites, betting odds, betting tips, bookmaker,
bookmakers, sportsbook, sportsbooks, jackpot slots, progressive jackpot, blackjack online, roulette online,
online roulette, online gambling, gambling site, gambling sites, real money casino, judi online, slot online,
situs slot, slot gacor, togel, agen judi, poker online, bandar, baccarat online, online baccarat, welcome bonus,
wagering requirements, 赌博网站, 赌博平台, 网上赌博, 博彩, 博彩网站, 博彩公司, 博彩平台, 菠菜平台, 现金网, 真人娱乐,
真人视讯, 真人荷官, 娱乐城, 线上娱乐, 娱乐平台注册, 娱乐官网, 赌场, 网上赌场, 澳门赌场, 百家乐, 老虎机, 轮盘赌,
德州扑克平台, 棋牌游戏平台, 棋牌平台, 棋牌下载, 捕鱼达人下载, 斗地主赢钱, 时时彩, 北京赛车, 幸运飞艇, 六合彩, 快三,
彩票平台, 彩票网站, 彩票开奖, 投注, 投注网, 投注平台, 下注, 盘口, 赔率, 让球, 滚球, 返水, 洗码, 首存优惠, 首存送,
注册送彩金, 送彩金, 彩金, 体验金, 开户送, 新葡京, 葡京, 威尼斯人, 金沙娱乐, 澳门金沙, 银河娱乐, 太阳城, 永利娱乐,
皇冠体育, 皇冠网, 皇冠现金网, 亚博, 亚博体育, 万博体育, 开云体育, 爱游戏体育, 乐鱼体育, 华体会, 必威, 伟德国际,
威廉希尔, 立博, bet365, bt365, 365体育投注, 88必发, 必发, 乐虎国际, 乐天堂, 大发体育, 凤凰彩票, 体育在线平台,
体育官方入口, 官方网站登录入口, 登录器下载, 网址导航app
"""

SPAM = """
buy now, order now, cheap viagra, buy viagra, generic viagra, buy cialis, cheap cialis, online pharmacy,
canadian pharmacy, without prescription, no prescription needed, payday loan, payday loans, cash advance,
bad credit loans, instant approval, work from home, make money online, earn money online, passive income, get rich,
weight loss pills, diet pills, male enhancement, replica watches, replica handbags, replica rolex, cheap jerseys,
wholesale jerseys, louis vuitton outlet, michael kors outlet, coach outlet, ugg outlet, cheap uggs, ray ban outlet,
nike outlet, free shipping, click here, limited time offer, act now, special promotion, lowest price, discount code,
essay writing service, write my essay, buy essays, custom essays, seo services, backlinks, guest post, buy followers,
binary options, forex signals, crypto giveaway, free iphone, congratulations you have won, hot deals, best price,
代开发票, 开发票, 办证, 刻章, 代办信用卡, 信用卡套现, 套现, 贷款秒批, 无抵押贷款, 小额贷款平台, 网赚, 日赚, 月入过万,
兼职刷单, 刷单, 代写论文, 论文代写, 代发论文, 加微信, 微信号, 加qq, 联系qq, 客服qq, 咨询热线, 免费咨询, 立即咨询,
在线咨询, 在线报名, 点击咨询, 立即购买, 马上抢购, 限时抢购, 厂家直销, 诚信经营, 欢迎来电, 来电咨询, 欢迎新老客户,
批发价格, 价格优惠, 优质服务, 招商加盟, 加盟热线, 加盟费, 诚招代理, 一手货源, 货到付款, 全国包邮, 包邮, 高仿, 精仿,
原单, a货, 祛痘, 丰胸, 减肥产品, 壮阳, 延时喷剂, 迷药, 治疗白癜风, 治疗牛皮癣, 治疗癫痫, 男科医院, 不孕不育医院,
无痛人流, 人流医院, 整形医院, 网站优化, 快速排名, 关键词排名, 推广软件, 群发软件, 外挂下载, 私服, 破解版下载,
免费领取
"""

TRADES = {"adult": ADULT, "gambling": GAMBLING, "spam": SPAM}


def phrases(trade: str) -> list[str]:
    """The phrases of a trade, in the order they are written above."""
    return [phrase for part in TRADES[trade].replace("\n", " ").split(",") if (phrase := part.strip())]
